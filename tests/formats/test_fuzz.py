"""Readers of files that others may have written: whatever is in them, they are read right or refused in one line.

A few cases of each in `make test`; `make fuzz` tries 10,000.
"""

import copy
import hashlib
import json
import pickle
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from drills import files
from pipeline.core import params, paths
from pipeline.core.errors import UserError
from pipeline.core.files import read_yaml
from pipeline.data import cifar10, manifest, parquet, pickle_batch
from pipeline.data.download import Unreachable
from pipeline.formats import hdf5, keras_archive, torch_checkpoint
from tests.conftest import ROOT
from tests.formats.test_torch_checkpoint import tensor, write
from tests.fuzzing import changed, fuzzed, one_line

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=5,
)
PARAMS = read_yaml(ROOT / "params.yaml")
ODD_YAML = (
    b"[" * 5000,
    b"{a: " * 2000,
    b"9" * 5000,
    b"2001-02-30",
    b"!!binary x",
    b"&a [*a]",
    b"? {a: 1}\n",
    b"\x1b[2J",
)


@fuzzed
@given(count=st.integers(1, 4), seed=st.integers(0, 2**32 - 1))
def test_batches_are_read_as_they_were_written(count, seed, tmp_path, monkeypatch):
    generator = np.random.default_rng(seed)
    images = generator.integers(0, 256, (count, 32, 32, 3), "uint8")
    labels = generator.integers(0, 10, count, "uint8")
    content = cifar10.to_binary(images, labels)
    (tmp_path / "test_batch.bin").write_bytes(content)
    monkeypatch.setitem(cifar10.BATCHES, "test_batch.bin", hashlib.md5(content).hexdigest())
    read = cifar10.read_batches(tmp_path, ["test_batch.bin"])
    assert np.array_equal(read[0], images)
    assert np.array_equal(read[1], labels)


@fuzzed
@given(content=st.binary(max_size=2 * cifar10.RECORD))
def test_a_batch_of_anything_else_is_refused(content, tmp_path):
    (tmp_path / "test_batch.bin").write_bytes(content)
    with pytest.raises(UserError, match="is corrupted or truncated"):
        cifar10.read_batches(tmp_path, ["test_batch.bin"])


@fuzzed
@given(data=st.data())
def test_params_with_something_else_in_them_are_valid_or_refused(data):
    tree = copy.deepcopy(PARAMS)
    section = tree
    while True:
        key = data.draw(st.sampled_from(sorted(section, key=str) if isinstance(section, dict) else range(len(section))))
        if not isinstance(section[key], dict | list) or not section[key] or data.draw(st.integers(0, 3)) == 0:
            break
        section = section[key]
    if isinstance(section, dict) and data.draw(st.booleans()):
        section[data.draw(st.text(max_size=8))] = section.pop(key)
    else:
        section[key] = data.draw(VALUES)
    try:
        assert isinstance(params.checked(tree, Path("params.yaml")), params.Params)
    except UserError as error:
        one_line(error)
        assert str(error).startswith("params.yaml: ")


@fuzzed
@given(data=st.data())
def test_a_params_file_of_any_bytes_is_valid_or_refused(data, tmp_path):
    content = (ROOT / "params.yaml").read_bytes()
    path = tmp_path / "params.yaml"
    path.write_bytes(
        data.draw(st.binary(max_size=200)) if data.draw(st.booleans()) else changed(data, content, ODD_YAML)
    )
    try:
        assert isinstance(params.load(path), params.Params)
    except UserError as error:
        one_line(error)


@fuzzed
@given(data=st.data())
def test_a_manifest_of_anything_is_valid_or_refused(data, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = paths.WEIGHTS / "mobilenetv2/manifest.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    entry = {"status": "ready", "file": "x.h5", "sha256": "0" * 64, "origin": "here", "official": True}
    key = data.draw(st.sampled_from([*entry, "more"]))
    content = json.dumps(entry | {key: data.draw(VALUES)}).encode()
    path.write_bytes(
        data.draw(st.binary(max_size=100)) if data.draw(st.integers(0, 4)) == 0 else changed(data, content)
    )
    try:
        read = manifest.read("mobilenetv2")
        assert read["status"] in ("none", "ready", "skipped")
        assert "/" not in read.get("file", "")
    except UserError as error:
        one_line(error)
        assert "run `dvc repro --force weights@mobilenetv2`" in str(error)


@fuzzed
@given(data=st.data())
def test_a_checkpoint_of_anything_is_tensors_or_refused(data, tmp_path):
    path = tmp_path / "x.pth"
    write(path, np.arange(10), rows=tensor(10, 0, (2, 3), (3, 1)))
    path.write_bytes(changed(data, path.read_bytes()))
    try:
        assert all(isinstance(tensor, np.ndarray) for tensor in torch_checkpoint.read(path).values())
    except UserError as error:
        one_line(error)


@fuzzed
@given(data=st.data())
def test_a_model_of_anything_has_a_fingerprint_or_is_refused(data, tmp_path):
    whole, path = tmp_path / "whole.keras", tmp_path / "x.keras"
    if not whole.exists():
        files.small_model(whole)
    with zipfile.ZipFile(whole) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    name = data.draw(st.sampled_from(sorted(members)))
    members[name] = changed(data, members[name])
    with zipfile.ZipFile(path, "w") as archive:
        for member, content in members.items():
            archive.writestr(member, content)
    if data.draw(st.integers(0, 2)) == 0:
        path.write_bytes(changed(data, path.read_bytes()))
    try:
        assert len(keras_archive.fingerprint(path)) == 64
    except UserError as error:
        one_line(error)


@fuzzed
@given(data=st.data())
def test_weights_of_anything_are_arrays_or_refused(data, tmp_path):
    path = tmp_path / "x.h5"
    with h5py.File(path, "w") as file:
        file["layers/dense/vars/0"] = np.ones((3, 2), "f4")
        file["layers/dense/vars/1"] = np.arange(100)
        if data.draw(st.booleans()):
            file.create_dataset("packed", data=np.arange(100), chunks=(10,), compression="gzip", shuffle=True)
        if data.draw(st.booleans()):
            file["same"] = file["layers"]
        if data.draw(st.booleans()):
            file["soft"] = h5py.SoftLink("/layers")
    path.write_bytes(changed(data, path.read_bytes()))
    try:
        assert all(isinstance(array, np.ndarray) for array in hdf5.arrays(path).values())
    except ValueError as error:
        assert str(error).startswith("its weights")


@fuzzed
@given(content=st.binary(max_size=300))
def test_parquet_of_anything_else_is_refused(content, tmp_path):
    (tmp_path / "x.parquet").write_bytes(b"PAR1" + content + b"PAR1")
    with pytest.raises(Unreachable):
        list(parquet.batches(tmp_path / "x.parquet"))


@fuzzed
@given(data=st.data(), protocol=st.integers(0, 5))
def test_a_pickle_of_anything_but_a_batch_is_refused(data, protocol):
    small = {b"data": np.zeros((3, 3072), "uint8"), "labels": [1, 2, 3], "filenames": [b"a.png", b"b.png", b"c.png"]}
    parts = (
        b"cposix\nsystem\n",
        b"\x93",
        b"R",
        b"b",
        b"(",
        b"t",
        b"u",
        b"h\x01",
        b"r\xff\xff\xff\xff",
        b"T\xff\xff\xff\x7f",
    )
    content = changed(data, pickle.dumps(small, protocol=protocol), parts)
    with pytest.raises(Unreachable) as caught:
        pickle_batch.to_binary("data_batch_1", changed(data, content, parts))
    one_line(caught.value)
