"""Weights files in HDF5: what is in them and fits the network is read, anything else is refused in one line."""

from pathlib import Path

import h5py
import keras
import numpy as np
import pytest

from drills import files
from pipeline import hdf5, manifest, paths, trunk
from pipeline.errors import UserError
from pipeline.files import checksum, write_json

NAME, FILE = "mobilenetv2", "mobilenetv2.weights.h5"


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    """A MobileNetV2's weights, any."""
    path = tmp_path_factory.mktemp("whole") / FILE
    keras.applications.MobileNetV2(include_top=False, weights=None).save_weights(path)
    return path


def changed(name: str, whole: Path, path: Path) -> None:
    path.write_bytes(whole.read_bytes())
    with h5py.File(path, "a") as file:
        place = "layers/conv2d/vars/0"
        del file[place]
        if name == "a claim of a terabyte":
            file.create_dataset(place, (250_000_000_000,), "f4", chunks=(1_000_000,))
        elif name == "a link to another file":
            file[place] = h5py.ExternalLink(str(whole), place)
        elif name == "an array of another file":
            files.virtual(file)
        elif name == "another shape":
            file[place] = np.zeros((3, 3), "f4")


WRONG = {
    "no HDF5": lambda whole, path: path.write_bytes(b"weights"),
    "a malicious pickle": lambda whole, path: files.malicious_pickle(path, path.with_name("canary")),
    "half a file": lambda whole, path: path.write_bytes(whole.read_bytes()[:4_000_000]),
    "no weights": lambda whole, path: h5py.File(path, "w").close(),
}
CHANGED = ["another shape", "a layer too few", "a link to another file", "an array of another file"]
CHANGED += ["a claim of a terabyte"]


@pytest.mark.fault("as weights of a backbone")
@pytest.mark.parametrize("kind", [*WRONG, *CHANGED])
def test_weights_that_are_not_the_networks_are_refused(kind, whole, checked, tmp_path, monkeypatch, record_property):
    monkeypatch.chdir(tmp_path)
    folder = paths.WEIGHTS / NAME
    folder.mkdir(parents=True)
    path = folder / FILE
    WRONG[kind](whole, path) if kind in WRONG else changed(kind, whole, path)
    entry = {"status": "ready", "file": FILE, "sha256": checksum(path), "origin": "a test", "official": False}
    write_json(folder / "manifest.json", entry)
    assert manifest.weights_path(NAME) == path
    with pytest.raises(UserError, match="does not fit mobilenetv2") as caught:
        trunk.load_backbone(NAME, checked, 96)
    assert not (folder / "canary").exists()
    record_property("seen", str(caught.value))


def test_arrays_are_read_by_their_paths(tmp_path):
    expected = {"a/b": np.arange(6, dtype="float32").reshape(2, 3), "c": np.array(7, "uint32")}
    with h5py.File(tmp_path / "x.h5", "w") as file:
        for name, array in expected.items():
            file[name] = array
    found = hdf5.arrays(tmp_path / "x.h5")
    assert {name: array.tolist() for name, array in found.items()} == {k: v.tolist() for k, v in expected.items()}
    assert {name: array.dtype for name, array in found.items()} == {k: v.dtype for k, v in expected.items()}
