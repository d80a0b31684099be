"""What dvc.lock says of a stage, compared with the files: each hash is computed anew."""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

from pipeline.errors import UserError
from pipeline.files import checksum, read_yaml

LOCK = Path("dvc.lock")
PARTIAL = ".partial-"  # what .dvcignore names
RECOMPUTABLE = Path("data/trunk")  # need not be there: it is not pushed


class Broken(UserError):
    """A link between a result and where it comes from does not hold."""

    def __init__(self, link: str, why: str):
        super().__init__(f"broken link: {link}: {why}")


def stages() -> dict[str, dict]:
    """The stages of dvc.lock by name, as in `train@custom_cnn`. Raises Broken if there are none."""
    if not LOCK.exists():
        raise Broken(str(LOCK), "is missing: `dvc repro` writes it")
    return read_yaml(LOCK)["stages"]


def with_ancestors(names: list[str], known: dict[str, dict]) -> list[str]:
    """The stages of these names, and all that their dependencies come from, in the order of dvc.lock."""
    wanted, waiting = set(), list(names)
    while waiting:
        name = waiting.pop()
        if name not in known:
            raise Broken(f"{LOCK}, {name}", "there is no such stage")
        if name not in wanted:
            wanted.add(name)
            waiting += [maker for dep in known[name]["deps"] for maker in _makers(Path(dep["path"]), known)]
    return [name for name in known if name in wanted]


def _makers(path: Path, known: dict[str, dict]) -> Iterator[str]:
    """The stages whose outs are the path, hold it or lie in it."""
    for name, stage in known.items():
        outs = [Path(out["path"]) for out in stage.get("outs", [])]
        if any(out.is_relative_to(path) or path.is_relative_to(out) for out in outs):
            yield name


def verify(name: str, stage: dict) -> list[str]:
    """Compare the hash of every dependency and output of a stage with its file; return a line each.

    Raises Broken at the first that is missing or another one than dvc.lock says.
    """
    lines = []
    for kind in ("deps", "outs"):
        for entry in stage.get(kind, []):
            path, found = Path(entry["path"]), md5(Path(entry["path"]))
            if found is None and path.is_relative_to(RECOMPUTABLE):
                lines.append(f"{kind[:-1]} {path} {entry['md5']}, not here; `dvc repro` computes it again")
                continue
            if found != entry["md5"]:
                state = "is missing" if found is None else f"has MD5 {found}"
                raise Broken(f"{LOCK}, {name}, {kind[:-1]} {path}", f"it {state}, {entry['md5']} is recorded")
            lines.append(f"{kind[:-1]} {path} {found}")
    return lines


def md5(path: Path) -> str | None:
    """A file's MD5, or a folder's as DVC computes it, over the sorted list of its files; None if there is nothing."""
    if path.is_file():
        return checksum(path, "md5")
    if not path.is_dir():
        return None
    files = [file for file in path.rglob("*") if file.is_file() and not file.name.startswith(PARTIAL)]
    listed = sorted((file.relative_to(path).as_posix(), checksum(file, "md5")) for file in files)
    text = json.dumps([{"md5": digest, "relpath": name} for name, digest in listed])
    return f"{hashlib.md5(text.encode()).hexdigest()}.dir"
