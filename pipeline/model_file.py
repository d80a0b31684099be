"""A saved Keras model (.keras): loaded without trusting it, and known by what is in it."""

import hashlib
import io
import json
import zipfile
import zlib
from pathlib import Path

import h5py
import numpy as np

from pipeline.errors import UserError

MEMBERS = ("config.json", "model.weights.h5", "metadata.json")
LARGEST = 2_000_000_000  # bytes of a member, unpacked


def load(path: Path):
    """Return the Keras model in the file, which is loaded in safe mode: code in it is refused, not run.

    Raises UserError if it is no Keras model, or one that needs more than stock Keras.
    """
    import keras

    _contents(path)
    try:
        return keras.saving.load_model(path, compile=False, safe_mode=True)
    except OSError as error:
        if error.errno:
            raise
        raise _refused(path, error) from None
    except Exception as error:  # Keras has no class for what it does not take
        raise _refused(path, error) from None


def fingerprint(path: Path) -> str:
    """SHA-256 of the configuration and of each weight's path, dtype, shape and bytes: the same however often and
    wherever a model was saved.

    Nothing in the file is executed, and TensorFlow is not needed. Raises UserError if it is no Keras model.
    """
    config, weights = _contents(path)
    digest = hashlib.sha256(json.dumps(config, sort_keys=True).encode())
    for name in sorted(weights):
        digest.update(f"{name} {weights[name].dtype} {weights[name].shape}".encode())
        digest.update(weights[name].tobytes())
    return digest.hexdigest()


def _contents(path: Path) -> tuple[dict, dict[str, np.ndarray]]:
    """Configuration and weights of a zip archive that has the members of a Keras model and no others."""
    try:
        with zipfile.ZipFile(path) as archive:
            found = {member.filename: member for member in archive.infolist()}
            if set(found) != set(MEMBERS) or len(archive.infolist()) != len(MEMBERS):
                raise ValueError(f"it has {', '.join(sorted(found)) or 'nothing in it'}"[:200])
            if max(member.file_size for member in found.values()) > LARGEST:
                raise ValueError(f"it would unpack to more than {LARGEST / 1e9:.0f} GB")
            config = json.loads(archive.read(MEMBERS[0]), object_hook=_without_address)
            return config, _weights(archive.read(MEMBERS[1]))
    except (zipfile.BadZipFile, zlib.error, KeyError, ValueError, EOFError, RuntimeError) as error:
        raise _refused(path, error) from None


def _weights(content: bytes) -> dict[str, np.ndarray]:
    """Those of an HDF5 file, by path. Raises ValueError if it is none, or claims to hold more than it can."""
    try:
        with h5py.File(io.BytesIO(content)) as file:
            found = {}
            file.visititems(lambda name, item: found.update({name: item}) if isinstance(item, h5py.Dataset) else None)
            if sum(item.nbytes for item in found.values()) > LARGEST or any(item.external for item in found.values()):
                raise ValueError(f"its weights are elsewhere, or more than {LARGEST / 1e9:.0f} GB")
            return {name: item[()] for name, item in found.items()}
    except OSError as error:
        raise ValueError(f"its weights: {error}") from None


def _without_address(item: dict) -> dict:
    """Keras notes which objects are the same one by their addresses, another at each saving."""
    return {key: value for key, value in item.items() if key != "shared_object_id"}


def _refused(path: Path, error: Exception) -> UserError:
    reason = " ".join(str(error).split())[:300] or type(error).__name__
    return UserError(f"{path} is no model to be loaded: {reason}")
