"""What stage `weights` left for an architecture: the file, if there is one, and its manifest.

manifest.json has a `status`: `none` (trained from scratch), `ready` (with file, sha256, origin and whether it is the
official one) or `skipped` (with the reason).
"""

from pathlib import Path

from pipeline import paths
from pipeline.errors import UserError
from pipeline.files import checksum, read_json


def read(name: str) -> dict:
    """Return the manifest of an architecture."""
    return read_json(paths.WEIGHTS / name / "manifest.json")


def weights_path(name: str) -> Path:
    """Return the weights file of an architecture whose manifest says `ready`, its checksum verified again."""
    entry = read(name)
    path = paths.WEIGHTS / name / entry["file"]
    if not path.is_file() or checksum(path) != entry["sha256"]:
        raise UserError(f"{path} is missing or damaged; run `dvc repro --force weights@{name}`")
    return path
