"""A saved Keras model (.keras) as an archive: looked through without Keras, and known by what is in it."""

import functools
import hashlib
import io
import json
import zipfile
from pathlib import Path

import numpy as np

from pipeline.core.errors import UserError
from pipeline.formats import hdf5

CONFIG, WEIGHTS, METADATA = "config.json", "model.weights.h5", "metadata.json"
LARGEST = {CONFIG: 20_000_000, WEIGHTS: hdf5.LARGEST, METADATA: 1_000_000}  # bytes of a member, unpacked
SHARED, STATELESS = "shared_object_id", "DTypePolicy"  # in a configuration
PACKED = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


def fingerprint(path: Path) -> str:
    """SHA-256 of the configuration and each weight's path, dtype, shape and bytes, the same wherever a model was saved.

    Nothing in the file is executed, and TensorFlow is not needed. Raises UserError if it is no Keras model.
    """
    config, weights = contents(path)
    digest = hashlib.sha256(json.dumps(config, sort_keys=True).encode())
    for name in sorted(weights):
        digest.update(f"{name} {weights[name].dtype} {weights[name].shape}".encode())
        digest.update(weights[name].tobytes())
    return digest.hexdigest()


def contents(path: Path) -> tuple[dict, dict[str, np.ndarray]]:
    """Return configuration and weights. Raises UserError if it is no archive of a Keras model's members only."""
    with path.open("rb") as file:
        try:
            with zipfile.ZipFile(file) as archive:
                _look(archive.infolist())
                config = json.loads(archive.read(CONFIG), object_hook=functools.partial(_comparable, {}, {}))
                return config, hdf5.arrays(io.BytesIO(archive.read(WEIGHTS)))
        except Exception as error:  # zipfile and json raise what they stumble over: seek errors, recursion, others
            raise refused(path, error) from None


def _look(members: list[zipfile.ZipInfo]) -> None:
    """Raise ValueError unless the members are those of a Keras model, packed as Keras does, of plausible sizes."""
    names = sorted(member.filename for member in members)
    if names != sorted(LARGEST):
        raise ValueError(f"it has {', '.join(names) or 'nothing in it'}"[:200])
    for member in members:
        if member.compress_type not in PACKED:
            raise ValueError(f"its {member.filename} is packed otherwise than Keras does")
        if member.file_size > LARGEST[member.filename]:
            raise ValueError(f"its {member.filename} would unpack to more than {LARGEST[member.filename] / 1e6:.0f} MB")


def _comparable(first: dict[object, dict], numbers: dict[object, int], item: dict) -> dict:
    """Return an object of the configuration with a number instead of its address, which differs each time.

    Keras marks objects that are used twice by their address. A policy of dtypes has no state: its mark is dropped, as
    Keras does not write it again when the model is loaded and saved. Raises ValueError if objects of the same address
    differ: Keras would take the first for both. `first`, `numbers`: the objects so far, by address.
    """
    if SHARED not in item:
        return item
    address = item.pop(SHARED)
    if first.setdefault(address, item) != item:
        raise ValueError("its configuration says of objects that differ that they are the same")
    if item.get("class_name") == STATELESS:
        return item
    return item | {SHARED: numbers.setdefault(address, len(numbers))}


def refused(path: Path, error: Exception) -> UserError:
    """Return the error that says why a file is not loaded."""
    said = str(error).rpartition("Exception encountered: ")[2]  # Keras wraps the reason in general advice
    reason = " ".join(said.split())[:300] or type(error).__name__
    return UserError(f"{path} is no model to be loaded: {reason}")
