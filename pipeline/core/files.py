"""Files, read and written: whole or not at all, under a temporary name first; their checksums; and locks."""

import contextlib
import hashlib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock
from ruamel.yaml import YAML

from pipeline.core.errors import UserError


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary name beside `path`, with the same suffix; rename it to `path` if the block succeeds."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".partial-{path.name}")  # .dvcignore knows it
    try:
        yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def alone(lock: Path) -> FileLock:
    """Return a lock on a file, to be held in a `with` block: one process at a time; the others wait."""
    lock.parent.mkdir(parents=True, exist_ok=True)
    return FileLock(lock)


def fresh_folder(path: Path) -> Path:
    """Return `path` as an empty folder: what a stage writes there is all there is."""
    if path.exists():
        shutil.rmtree(path)
    path.mkdir(parents=True)
    return path


def copy(source: Path, target: Path) -> None:
    with replacing(target) as temporary:
        shutil.copyfile(source, temporary)


def write_json(path: Path, value: Any) -> None:
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(value, indent=2) + "\n")


def read_json(path: Path, *keys: str) -> Any:
    """Read a JSON file that the project wrote. Raises UserError if it is damaged, or no object with these `keys`."""
    try:
        value = json.loads(path.read_text())
        if missing := [key for key in keys if not isinstance(value, dict) or key not in value]:
            raise ValueError(f"it lacks {', '.join(missing)}")
        return value
    except (ValueError, RecursionError) as error:
        remedy = f"bring it back with `dvc checkout` or `git checkout {path}`"
        raise UserError(f"{path} is damaged ({error}): {remedy}") from None


def read_yaml(path: Path) -> Any:
    """Read YAML 1.2 in UTF-8, as DVC writes it: there, unlike in 1.1, `1e-05` is a number.

    Raises UnicodeDecodeError, or ruamel.yaml.error.YAMLError if it is not YAML or has a key twice.
    """
    return YAML(typ="safe", pure=True).load(path.read_text("utf-8"))


def write_array(path: Path, array: np.ndarray) -> None:
    """Write a .npy file."""
    with replacing(path) as temporary:
        np.save(temporary, array)


def folder_checksum(folder: Path) -> str:
    """SHA-256 over the names and the SHA-256 of all files in a folder and those below it."""
    files = {path.relative_to(folder).as_posix(): checksum(path) for path in folder.rglob("*") if path.is_file()}
    return hashlib.sha256(json.dumps(files, sort_keys=True).encode()).hexdigest()


def checksum(path: Path, algorithm: str = "sha256") -> str:
    """Hexadecimal digest of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, algorithm).hexdigest()


def matches(path: Path, algorithm: str, digest: str) -> bool:
    """Return whether `path` is a file with this checksum."""
    return path.is_file() and checksum(path, algorithm) == digest
