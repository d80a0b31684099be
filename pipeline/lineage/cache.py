"""DVC's cache: what lies there under a hash, which is computed anew, and whose receipts it has."""

import functools
import json
from collections.abc import Iterator
from pathlib import Path

from pipeline.core.files import checksum

FOLDER = ".dir"  # how the hash of a folder ends: it is that of the list of its files


def md5(recorded: str) -> str | None:
    """The hash of what lies under `recorded`; None if it, or a file of the folder that it is, is not there.

    A folder with a damaged file has the hash of that file.
    """
    path = _location(recorded)
    if not path.is_file():
        return None
    if not recorded.endswith(FOLDER):
        return checksum(path, "md5")
    for file in files(recorded).values():
        if (found := md5(file.parent.name + file.name)) != file.parent.name + file.name:
            return found
    return checksum(path, "md5") + FOLDER


def files(folder: str) -> dict[str, Path]:
    """Where the files of a folder lie, by their names in it; {} if its list is not there, or damaged."""
    path = _location(folder)
    if not path.is_file() or checksum(path, "md5") + FOLDER != folder:
        return {}
    return {entry["relpath"]: _location(entry["md5"]) for entry in json.loads(path.read_text())}


def folders_of(run_id: str) -> Iterator[str]:
    """The hash of each folder with a model and the receipt of that run."""
    for path in sorted(_root(Path.cwd()).glob(f"??/*{FOLDER}")):
        held = files(path.parent.name + path.name)
        if "model.keras" in held and _run_of(held.get("run.json")) == run_id:
            yield path.parent.name + path.name


def _run_of(receipt: Path | None) -> str | None:
    try:
        return receipt and json.loads(receipt.read_bytes()).get("run_id")
    except (OSError, ValueError, AttributeError):  # not there, or damaged
        return None


def _location(recorded: str) -> Path:
    return _root(Path.cwd()) / recorded[:2] / recorded[2:]


@functools.cache
def _root(workspace: Path) -> Path:
    from dvc.repo import Repo  # half a second, for the few who need it

    return Path(Repo(workspace).cache.local.path)
