"""What a saved Keras model is, however often and wherever it was saved: a digest of its layers and its weights."""

import hashlib
import io
import json
import zipfile
from pathlib import Path

import h5py

from pipeline.errors import UserError

MEMBERS = ("config.json", "model.weights.h5")  # metadata.json has the time at which it was saved
LARGEST = 2_000_000_000  # bytes of a member, unpacked


def of(path: Path) -> str:
    """SHA-256 of the configuration and of each weight's path, dtype, shape and bytes in a .keras file.

    Nothing in the file is executed, and TensorFlow is not needed. Raises UserError if it is no Keras model.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            if max(archive.getinfo(name).file_size for name in MEMBERS) > LARGEST:
                raise UserError(f"{path} would unpack to more than {LARGEST / 1e9:.0f} GB: that is no model of ours")
            config, weights = (archive.read(name) for name in MEMBERS)
        layers = json.loads(config, object_hook=_without_address)
        digest = hashlib.sha256(json.dumps(layers, sort_keys=True).encode())
        with h5py.File(io.BytesIO(weights)) as file:
            for name in sorted(_datasets(file)):
                values = file[name][()]
                digest.update(f"{name} {values.dtype} {values.shape}".encode())
                digest.update(values.tobytes())
    except (zipfile.BadZipFile, KeyError, ValueError, OSError) as error:
        if isinstance(error, OSError) and error.errno:  # missing, unreadable: not the file's content
            raise
        raise UserError(f"{path} is no Keras model: {error}") from None
    return digest.hexdigest()


def _datasets(group: h5py.Group) -> list[str]:
    names = []
    group.visititems(lambda name, item: names.append(name) if isinstance(item, h5py.Dataset) else None)
    return names


def _without_address(item: dict) -> dict:
    """Keras notes which objects are the same one by their addresses, another at each saving."""
    return {key: value for key, value in item.items() if key != "shared_object_id"}
