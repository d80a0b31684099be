"""What stage `weights` left for an architecture: the file, if there is one, and manifest.json, which says so."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, TypeAdapter, ValidationError

from pipeline.core import paths
from pipeline.core.errors import UserError
from pipeline.core.files import matches
from pipeline.core.schema import FileName, Section, Sha256


class Scratch(Section):
    status: Literal["none"]
    origin: str


class Ready(Section):
    status: Literal["ready"]
    file: FileName
    sha256: Sha256
    origin: str
    official: bool


class Skipped(Section):
    status: Literal["skipped"]
    reason: str


_MANIFEST = TypeAdapter(Annotated[Scratch | Ready | Skipped, Field(discriminator="status")])


def read(name: str) -> dict:
    """Return the manifest of an architecture. Raises UserError if it is not as stage `weights` writes it."""
    path = paths.WEIGHTS / name / "manifest.json"
    try:
        return _MANIFEST.validate_json(path.read_bytes()).model_dump()
    except ValidationError as error:
        fault = error.errors()[0]["msg"]
        raise UserError(f"{path} is damaged ({fault}); run `dvc repro --force weights@{name}`") from None


def weights_path(name: str) -> Path:
    """Return the weights file of an architecture whose manifest says `ready`, its checksum verified again."""
    entry = read(name)
    path = paths.WEIGHTS / name / entry["file"]
    if not matches(path, "sha256", entry["sha256"]):
        raise UserError(f"{path} is missing or damaged; run `dvc repro --force weights@{name}`")
    return path
