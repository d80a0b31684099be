"""Malicious and damaged files, made here, that the project must refuse in one line, running nothing of them."""

import io
import json
import pickle
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import h5py

from drills import weights

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


def packed_model(path: Path, method: int) -> None:
    """The small model, its members packed by another method, and one of them damaged."""
    changed_model(path, lambda members: None)
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
        place = archive.getinfo(WEIGHTS).header_offset + 100
    content = path.read_bytes()
    path.write_bytes(content[:place] + bytes(50) + content[place + 50 :])


def _config(layer: str, module: str = "keras.layers", **config: object) -> Callable[[dict[str, bytes]], None]:
    """A configuration of one layer."""
    first = {"class_name": "InputLayer", "config": {"batch_shape": [None, 3], "dtype": "float32", "name": "in"}}
    second = {"class_name": layer, "config": {"name": "x", "dtype": "float32"} | config}
    layers = [{"module": "keras.layers", "registered_name": None} | first]
    layers += [{"module": module, "registered_name": None} | second]
    outer = {"module": "keras", "class_name": "Sequential", "config": {"name": "m", "layers": layers}}
    return lambda members: members.update({CONFIG: json.dumps(outer | {"registered_name": None}).encode()})


def _function(module: str, name: str) -> dict:
    return {"module": module, "class_name": "function", "config": name, "registered_name": name}


def _symlink(path: Path) -> None:
    """The small model, its weights a symbolic link to another file."""
    small_model(path)
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in (CONFIG, METADATA)}
    link = zipfile.ZipInfo(WEIGHTS)
    link.create_system, link.external_attr = 3, 0o120777 << 16  # Unix
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in (members | {link: b"/etc/passwd"}).items():
            archive.writestr(name, content)


def _hdf5(fill: Callable[[h5py.File], object]) -> bytes:
    content = io.BytesIO()
    with h5py.File(content, "w") as file:
        fill(file)
    return content.getvalue()


def changed_weights(path: Path, canary: Path, fill: Callable[[h5py.File], object]) -> None:
    """The small model, something done to its weights."""

    def change(members: dict[str, bytes]) -> None:
        content = io.BytesIO(members[WEIGHTS])
        with h5py.File(content, "a") as file:
            fill(file)
        members[WEIGHTS] = content.getvalue()

    changed_model(path, change)


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
        path, lambda members: members.update({CONFIG: bytes(100_000_000)})
    ),
    "a zip packed with bzip2": lambda path, canary: packed_model(path, zipfile.ZIP_BZIP2),
    "a zip packed with LZMA": lambda path, canary: packed_model(path, zipfile.ZIP_LZMA),
    "a zip with a symbolic link": lambda path, canary: _symlink(path),
    "a zip without weights": lambda path, canary: changed_model(path, lambda members: members.pop(WEIGHTS)),
    **{f"weights {wrong}": partial(changed_weights, fill=fill) for wrong, fill in weights.WRONG.items()},
    "a configuration that is no JSON": lambda path, canary: changed_model(
        path, lambda members: members.update({CONFIG: b"{" * 100})
    ),
    "a configuration nested without end": lambda path, canary: changed_model(
        path, lambda members: members.update({CONFIG: b'{"a":' * 100_000})
    ),
    "a configuration that ends safe mode": lambda path, canary: changed_model(
        path, _config("Lambda", function=_function("keras.config", "enable_unsafe_deserialization"), arguments={})
    ),
    "a configuration that downloads": lambda path, canary: changed_model(
        path, _config("Activation", activation=_function("keras.utils", "get_file"))
    ),
    "a layer that reads a file as its words": lambda path, canary: changed_model(
        path, _config("StringLookup", vocabulary="/etc/passwd")
    ),
    "a layer that loads TensorFlow's own format": lambda path, canary: changed_model(
        path, _config("TFSMLayer", filepath=str(path.parent))
    ),
    "a layer of a foreign module": lambda path, canary: changed_model(
        path, _config("Popen", "subprocess", args=["touch", str(canary)])
    ),
    "a layer whose name moves the cursor": lambda path, canary: changed_model(path, _config("\x1b[2J\nerror: none")),
    "an empty file": lambda path, canary: path.write_bytes(b""),
    "half a model": lambda path, canary: (small_model(path), path.write_bytes(path.read_bytes()[:5000])),
}
