"""Malicious and damaged files, made here, that the project must refuse in one line, running nothing of them."""

import io
import json
import pickle
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np

CONFIG, WEIGHTS, METADATA = "config.json", "model.weights.h5", "metadata.json"
KERNEL = "layers/dense/vars/0"  # in the small model's weights


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


def virtual(file: h5py.File) -> None:
    """An array whose numbers are another file's."""
    layout = h5py.VirtualLayout((10,), "u1")
    layout[:] = h5py.VirtualSource("/etc/passwd", "x", shape=(10,))
    file.create_virtual_dataset("x", layout)


def _nested(file: h5py.File, count: int) -> None:
    """Groups within groups, linked from the outside in, which is quick."""
    inner = file.create_group("inner")
    for number in range(count):
        outer = file.create_group(f"outer{number}")
        outer["x"] = inner
        del file[inner.name]
        inner = outer


def _packed(file: h5py.File) -> None:
    """An array of 40 bytes that unpacks to 50 million."""
    array = file.create_dataset("x", (10,), "f4", chunks=(10,), compression="gzip")
    array.id.write_direct_chunk((0,), zlib.compress(bytes(50_000_000)))


def _many_names(file: h5py.File) -> None:
    """An array under 50,000 names."""
    array = file.create_dataset("x", data=np.zeros(10_000, "f4"))
    for number in range(50_000):
        file[str(number)] = array


def _hdf5(fill: Callable[[h5py.File], object]) -> bytes:
    content = io.BytesIO()
    with h5py.File(content, "w") as file:
        fill(file)
    return content.getvalue()


def _other_shape(file: h5py.File) -> None:
    del file[KERNEL]
    file[KERNEL] = np.zeros((3, 3), "f4")


def _weights(fill: Callable[[h5py.File], object]) -> Callable[[dict[str, bytes]], None]:
    """Something beside the weights of the model, or in their place."""

    def change(members: dict[str, bytes]) -> None:
        content = io.BytesIO(members[WEIGHTS])
        with h5py.File(content, "a") as file:
            fill(file)
        members[WEIGHTS] = content.getvalue()

    return change


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
    "weights that claim a terabyte": lambda path, canary: changed_model(
        path, _weights(lambda file: file.create_dataset("x", (250_000_000_000,), "f4"))
    ),
    "weights that are not in the file": lambda path, canary: changed_model(
        path, _weights(lambda file: file.create_dataset("x", (100_000_000,), "f4"))
    ),
    "weights that are each a million": lambda path, canary: changed_model(
        path, _weights(lambda file: file.create_dataset("x", (), np.dtype(("f4", (1000, 1000)))))
    ),
    "weights that unpack to more than they say": lambda path, canary: changed_model(path, _weights(_packed)),
    "weights to be read as numbers of another type": lambda path, canary: changed_model(
        path, _weights(lambda file: file[KERNEL].attrs.update({"dtype": "bfloat16"}))
    ),
    "weights that lie in another file": lambda path, canary: changed_model(
        path, _weights(lambda file: file.create_dataset("x", (10,), "u1", external=[("/etc/passwd", 0, 10)]))
    ),
    "weights behind a link to another file": lambda path, canary: changed_model(
        path, _weights(lambda file: file.update({"x": h5py.ExternalLink("/etc/passwd", "/")}))
    ),
    "weights behind a link to nowhere": lambda path, canary: changed_model(
        path, _weights(lambda file: file.update({"x": h5py.SoftLink("/nowhere")}))
    ),
    "weights nested 20,000 deep": lambda path, canary: changed_model(
        path, _weights(lambda file: _nested(file, 20_000))
    ),
    "weights under 50,000 names": lambda path, canary: changed_model(path, _weights(_many_names)),
    "weights under two names": lambda path, canary: changed_model(
        path, _weights(lambda file: file.update({"y": file.create_dataset("x", data=np.zeros(3, "f4"))}))
    ),
    "weights that hold themselves": lambda path, canary: changed_model(
        path, _weights(lambda file: file.create_group("x").update({"y": file["x"]}))
    ),
    "weights that show another file's": lambda path, canary: changed_model(path, _weights(virtual)),
    "weights that are none": lambda path, canary: changed_model(
        path, _weights(lambda file: file.update({"x": h5py.Empty("f4")}))
    ),
    "weights that are bytes": lambda path, canary: changed_model(
        path, _weights(lambda file: file.create_dataset("x", data=np.array([b"1.5"])))
    ),
    "weights that are records": lambda path, canary: changed_model(
        path, _weights(lambda file: file.create_dataset("x", data=np.zeros(3, "f4,f4")))
    ),
    "weights that are but a type": lambda path, canary: changed_model(
        path, _weights(lambda file: file.update({"x": np.dtype("f4")}))
    ),
    "weights that are words": lambda path, canary: changed_model(
        path, _weights(lambda file: file.create_dataset("x", data=["word"], dtype=h5py.string_dtype()))
    ),
    "weights of other shapes": lambda path, canary: changed_model(path, _weights(_other_shape)),
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
