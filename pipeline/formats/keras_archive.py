"""A saved Keras model (.keras) as an archive: looked through without Keras, and known by what is in it."""

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
    """SHA-256 of the configuration and of each weight's path, dtype, shape and bytes: the same however often and
    wherever a model was saved.

    Nothing in the file is executed, and TensorFlow is not needed. Raises UserError if it is no Keras model.
    """
    config, weights = contents(path)
    digest = hashlib.sha256(json.dumps(config, sort_keys=True).encode())
    for name in sorted(weights):
        digest.update(f"{name} {weights[name].dtype} {weights[name].shape}".encode())
        digest.update(weights[name].tobytes())
    return digest.hexdigest()


def contents(path: Path) -> tuple[dict, dict[str, np.ndarray]]:
    """Return configuration and weights of a zip archive that has the members of a Keras model and no others.

    Raises UserError if it is no such archive.
    """
    with path.open("rb") as file:
        try:
            with zipfile.ZipFile(file) as archive:
                _look(archive.infolist())
                config = json.loads(archive.read(CONFIG), object_hook=_Shared())
                return config, hdf5.arrays(io.BytesIO(archive.read(WEIGHTS)))
        except Exception as error:  # zipfile and json raise what they stumble over: seek errors, recursion, others
            raise refused(path, error) from None


def _look(members: list[zipfile.ZipInfo]) -> None:
    """Raise ValueError unless the members are those of a Keras model, packed as Keras does, of plausible sizes."""
    if sorted(member.filename for member in members) != sorted(LARGEST):
        raise ValueError(f"it has {', '.join(sorted(member.filename for member in members)) or 'nothing in it'}"[:200])
    for member in members:
        if member.compress_type not in PACKED:
            raise ValueError(f"its {member.filename} is packed otherwise than Keras does")
        if member.file_size > LARGEST[member.filename]:
            raise ValueError(f"its {member.filename} would unpack to more than {LARGEST[member.filename] / 1e6:.0f} MB")


class _Shared:
    """Makes the notes comparable that Keras keeps of which objects are the same one: their addresses, others each time.

    Of a policy of dtypes, which has no state, the note is dropped, as Keras does not make it again when such a model is
    saved anew. Of others it becomes a number: shared layers share weights. Raises ValueError where objects that are
    said to be the same differ, since Keras would take the first for both.
    """

    def __init__(self) -> None:
        self._first: dict[object, dict] = {}
        self._numbers: dict[object, int] = {}

    def __call__(self, item: dict) -> dict:
        if SHARED not in item:
            return item
        number, rest = item[SHARED], {key: value for key, value in item.items() if key != SHARED}
        if self._first.setdefault(number, rest) != rest:
            raise ValueError("its configuration says of objects that differ that they are the same")
        if rest.get("class_name") == STATELESS:
            return rest
        return rest | {SHARED: self._numbers.setdefault(number, len(self._numbers))}


def refused(path: Path, error: Exception) -> UserError:
    """Return the error that says why a file is not loaded."""
    said = str(error).rpartition("Exception encountered: ")[2]  # Keras wraps the reason in general advice
    reason = " ".join(said.split())[:300] or type(error).__name__
    return UserError(f"{path} is no model to be loaded: {reason}")
