"""Weights files in HDF5: what is in them and fits the network is read, anything else is refused in one line."""

from pathlib import Path

import h5py
import keras
import numpy as np
import pytest

from drills import files, weights
from pipeline.core import paths
from pipeline.core.errors import UserError
from pipeline.core.files import checksum, write_json
from pipeline.data import manifest
from pipeline.formats import hdf5
from pipeline.training import trunk

NAME, FILE = "mobilenetv2", "mobilenetv2.weights.h5"


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    """A MobileNetV2's weights, any."""
    path = tmp_path_factory.mktemp("whole") / FILE
    keras.applications.MobileNetV2(include_top=False, weights=None).save_weights(path)
    return path


def install(path: Path) -> None:
    """As stage `weights` does."""
    entry = {"status": "ready", "file": path.name, "sha256": checksum(path), "origin": "a test", "official": False}
    write_json(path.with_name("manifest.json"), entry)
    assert manifest.weights_path(NAME) == path


def changed(name: str, whole: Path, path: Path) -> None:
    path.write_bytes(whole.read_bytes())
    with h5py.File(path, "a") as file:
        place = "layers/conv2d/vars/0"
        del file[place]
        if name == "a claim of a terabyte":
            file.create_dataset(place, (250_000_000_000,), "f4")
        elif name == "a link to another file":
            file[place] = h5py.ExternalLink(str(whole), place)
        elif name == "an array of another file":
            weights.virtual(file)
        elif name == "another shape":
            file[place] = np.zeros((3, 3), "f4")
        elif name == "a packed array":
            file.create_dataset(place, data=np.zeros((3, 3, 3, 32), "f4"), compression="gzip")
        elif name == "an array with an attribute":
            file.create_dataset(place, data=np.zeros((3, 3, 3, 32), "f4")).attrs["dtype"] = "bfloat16"


WRONG = {
    "no HDF5": lambda whole, path: path.write_bytes(b"weights"),
    "a malicious pickle": lambda whole, path: files.malicious_pickle(path, path.with_name("canary")),
    "half a file": lambda whole, path: path.write_bytes(whole.read_bytes()[:4_000_000]),
    "no weights": lambda whole, path: h5py.File(path, "w").close(),
}
CHANGED = ["another shape", "a layer too few", "a link to another file", "an array of another file"]
CHANGED += ["a claim of a terabyte", "a packed array", "an array with an attribute"]


@pytest.mark.fault("as weights of a backbone")
@pytest.mark.parametrize("kind", [*WRONG, *CHANGED])
def test_weights_that_are_not_the_networks_are_refused(kind, whole, tmp_path, monkeypatch, record_property):
    monkeypatch.chdir(tmp_path)
    path = paths.WEIGHTS / NAME / FILE
    path.parent.mkdir(parents=True)
    WRONG[kind](whole, path) if kind in WRONG else changed(kind, whole, path)
    install(path)
    with pytest.raises(UserError, match="does not fit mobilenetv2") as caught:
        trunk.load_backbone(NAME, 96)
    assert not path.with_name("canary").exists()
    record_property("seen", str(caught.value))


@pytest.mark.parametrize("names", [3, [0.5], h5py.Empty("f4")], ids=["a number", "numbers", "nothing"])
def test_a_release_whose_layers_have_no_names_is_refused(names, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = paths.WEIGHTS / NAME / "release.h5"
    path.parent.mkdir(parents=True)
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = names
    install(path)
    with pytest.raises(UserError, match="does not fit mobilenetv2"):
        trunk.load_backbone(NAME, 96)


@pytest.mark.parametrize(
    ("reason", "fill"),
    [
        ("more than 2 GB", lambda file: file.create_dataset("x", (250_000_000_000,), "f4")),
        ("not all in the file", lambda file: file.create_dataset("x", (100_000_000,), "f4")),
        ("x is stored in pieces", lambda file: file.create_dataset("x", data=[1.0], chunks=(1,))),
        ("x has attributes", lambda file: file.create_dataset("x", data=[1.0]).attrs.update({"a": 1})),
        ("x holds no numbers", lambda file: file.create_dataset("x", data=[1j])),
        ("x is neither group nor array", lambda file: file.update({"x": np.dtype("f4")})),
    ],
)
def test_what_is_refused_is_named(reason, fill, tmp_path):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        fill(file)
    with pytest.raises(ValueError, match=reason):
        hdf5.arrays(tmp_path / "x.h5")


def test_arrays_are_read_by_their_paths(tmp_path):
    expected = {"a/b": np.arange(6, dtype="float32").reshape(2, 3), "c": np.array(7, "uint32")}
    with h5py.File(tmp_path / "x.h5", "w") as file:
        for name, array in expected.items():
            file[name] = array
    found = hdf5.arrays(tmp_path / "x.h5")
    assert {name: array.tolist() for name, array in found.items()} == {k: v.tolist() for k, v in expected.items()}
    assert {name: array.dtype for name, array in found.items()} == {k: v.dtype for k, v in expected.items()}
