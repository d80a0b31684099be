"""Malicious and damaged files, made here, that the project must refuse in one line, running nothing of them."""

import io
import json
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np

CONFIG, WEIGHTS, METADATA = "config.json", "model.weights.h5", "metadata.json"


class Touch:
    """Unpickled, it makes a file: the canary."""

    def __init__(self, canary: Path):
        self._canary = canary

    def __reduce__(self):
        return Path.touch, (self._canary,)


def malicious_pickle(path: Path, canary: Path) -> None:
    path.write_bytes(pickle.dumps(Touch(canary)))


def small_model(path: Path) -> None:
    """A .keras file as any other."""
    import keras

    inputs = keras.Input((32, 32, 3))
    keras.Model(inputs, keras.layers.Dense(10)(keras.layers.Flatten()(inputs))).save(path)


def model_with_lambda(path: Path, canary: Path) -> None:
    import keras

    inputs, name = keras.Input((3,)), str(canary)
    code = keras.layers.Lambda(lambda x: [x, __import__("os").system(f"touch {name}")][0], output_shape=(3,))
    keras.Model(inputs, code(inputs)).save(path)


def model_with_foreign_function(path: Path, canary: Path) -> None:
    """A configuration that names a function of Python's own to be called with arguments of its choice."""
    call = {"module": "os", "class_name": "function", "config": "system", "registered_name": "system"}
    layer = {
        "module": "keras.layers",
        "class_name": "Lambda",
        "config": {"name": "x", "function": call, "arguments": {"command": f"touch {canary}"}},
        "registered_name": None,
    }
    config = {"name": "m", "layers": [{**layer, "name": "x", "inbound_nodes": []}]}
    outer = {"module": "keras", "class_name": "Sequential", "config": config, "registered_name": None}
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(CONFIG, json.dumps(outer))
        archive.writestr(METADATA, "{}")
        archive.writestr(WEIGHTS, _hdf5(lambda file: None))


def changed_model(path: Path, change: Callable[[dict[str, bytes]], None]) -> None:
    """The small model, its members changed."""
    small_model(path)
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    change(members)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)


def _hdf5(fill: Callable[[h5py.File], object]) -> bytes:
    content = io.BytesIO()
    with h5py.File(content, "w") as file:
        fill(file)
    return content.getvalue()


def _weights(fill: Callable[[h5py.File], object]) -> Callable[[dict[str, bytes]], None]:
    return lambda members: members.update({WEIGHTS: _hdf5(fill)})


# What is put into the place of a model, by what is wrong with it; each is told where a canary would be.
MODELS: dict[str, Callable[[Path, Path], None]] = {
    "a pickle": malicious_pickle,
    "a model with a Lambda layer": model_with_lambda,
    "a model that names a function of the system": model_with_foreign_function,
    "a zip with a parent folder's name": lambda path, canary: changed_model(
        path, lambda members: members.update({f"../{canary.name}": b"x"})
    ),
    "a zip with an absolute name": lambda path, canary: changed_model(
        path, lambda members: members.update({str(canary): b"x"})
    ),
    "a zip bomb": lambda path, canary: changed_model(
        path, lambda members: members.update({CONFIG: bytes(2_100_000_000)})
    ),
    "a zip without weights": lambda path, canary: changed_model(path, lambda members: members.pop(WEIGHTS)),
    "weights that claim a terabyte": lambda path, canary: changed_model(
        path, _weights(lambda file: file.create_dataset("x", (250_000_000_000,), "f4", chunks=(1_000_000,)))
    ),
    "weights that lie in another file": lambda path, canary: changed_model(
        path, _weights(lambda file: file.create_dataset("x", (10,), "u1", external=[("/etc/passwd", 0, 10)]))
    ),
    "weights of other shapes": lambda path, canary: changed_model(
        path, _weights(lambda file: file.create_dataset("layers/dense/vars/0", data=np.zeros((3, 3), "f4")))
    ),
    "a configuration that is no JSON": lambda path, canary: changed_model(
        path, lambda members: members.update({CONFIG: b"{" * 100})
    ),
    "a configuration nested without end": lambda path, canary: changed_model(
        path, lambda members: members.update({CONFIG: b'{"a":' * 100_000})
    ),
    "an empty file": lambda path, canary: path.write_bytes(b""),
    "half a model": lambda path, canary: (small_model(path), path.write_bytes(path.read_bytes()[:5000])),
}
