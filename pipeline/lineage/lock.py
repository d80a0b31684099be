"""What dvc.lock says, here or at a commit, compared with the files: each hash is computed anew."""

import hashlib
import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from pipeline.core import paths
from pipeline.core.errors import UserError
from pipeline.core.files import checksum, replacing
from pipeline.lineage import cache

LOCK = Path("dvc.lock")
RUNNING = Path(".dvc/tmp/rwlock")  # DVC's own, for the commands that run at the moment
PARTIAL = ".partial-"  # what .dvcignore names
RECOMPUTABLE = Path("data/trunk")  # need not be there: it is not pushed
HERE, CACHE = "", ", in DVC's cache"  # where a hash was found


class Broken(UserError):
    """A link between a result and where it comes from does not hold."""

    def __init__(self, link: str, why: str):
        super().__init__(f"broken link: {link}: {why}")


class Locked:
    """Stages of a dvc.lock by name, as in `train@custom_cnn`, and the files that they speak of.

    `commit`: None for the workspace, whose files must be there; else they are looked for in DVC's cache and in git at
    that commit, and may be gone.
    """

    def __init__(self, stages: dict[str, dict], commit: str | None):
        self.stages, self.commit = stages, commit
        self.outs = self._recorded("outs")
        self.verified: set[str] = set()  # names of stages
        self._found: dict[tuple[Path, str], tuple[str | None, str]] = {}

    @classmethod
    def here(cls) -> "Locked":
        """Raises Broken if there is no dvc.lock, or one that is damaged."""
        if not LOCK.exists():
            raise Broken(str(LOCK), "is missing: `dvc repro` writes it")
        return cls(_stages(LOCK.read_bytes()), None)

    @classmethod
    def at(cls, commit: str) -> "Locked":
        return cls(_stages(git("show", f"{commit}:{LOCK}").stdout), commit)

    @classmethod
    def of_folder(cls, path: Path, md5: str) -> "Locked | None":
        """The last one that was committed when an output was that, so with its last evaluation; None if none was."""
        for commit in git("log", "--all", "--format=%H", "--", str(LOCK)).stdout.decode().split():
            content = git("show", f"{commit}:{LOCK}").stdout
            if md5.encode() in content and (found := cls(_stages(content), commit)).outs.get(str(path)) == md5:
                return found
        return None

    def with_ancestors(self, names: list[str]) -> list[str]:
        """The stages of these names, and all that their dependencies come from, in the order of dvc.lock."""
        wanted, waiting = set(), list(names)
        while waiting:
            name = waiting.pop()
            if name not in self.stages:
                raise Broken(f"{LOCK}, {name}", "there is no such stage")
            if name not in wanted:
                wanted.add(name)
                waiting += [maker for dep in self.stages[name].get("deps", []) for maker in self._makers(dep["path"])]
        return [name for name in self.stages if name in wanted]

    def _makers(self, path: str) -> Iterator[str]:
        """The stages whose outs are the path, hold it or lie in it."""
        for name, stage in self.stages.items():
            outs = [Path(out["path"]) for out in stage.get("outs", [])]
            if any(out.is_relative_to(path) or Path(path).is_relative_to(out) for out in outs):
                yield name

    def verify(self, name: str) -> list[str]:
        """Compare the hash of every dependency and output of a stage with its file; return a line each.

        Raises Broken at the first that is another one than dvc.lock says, or that should be there and is not.
        """
        lines = []
        for kind in ("deps", "outs"):
            for entry in self.stages[name].get(kind, []):
                path, recorded = Path(entry["path"]), entry["md5"]
                found, where = self.md5(path, recorded)
                if found is None and (self.commit is not None or path.is_relative_to(RECOMPUTABLE)):
                    found, where = recorded, ", not here"
                if found != recorded:
                    state = "is missing: `dvc pull`, or `dvc repro`" if found is None else f"has MD5 {found}"
                    raise Broken(f"{LOCK}, {name}, {kind[:-1]} {path}", f"it {state}, {recorded} is recorded")
                lines.append(f"{kind[:-1]} {path} {found}{where}")
        self.verified.add(name)
        return lines

    def md5(self, path: Path, recorded: str) -> tuple[str | None, str]:
        """The hash of a file or folder, computed anew, and where it was found; None if it is nowhere."""
        if (path, recorded) not in self._found:
            self._found[path, recorded] = self._search(path, recorded)
        return self._found[path, recorded]

    def _search(self, path: Path, recorded: str) -> tuple[str | None, str]:
        here, within = _md5(path), {out: md5 for out, md5 in self.outs.items() if Path(out).is_relative_to(path)}
        whole = self.commit is None and all(map(os.path.exists, within))
        if here == recorded or (here and whole):
            return here, HERE
        if found := cache.md5(recorded) or _together(path, within):
            return found, CACHE
        if self.commit and (found := _md5_at(self.commit, path)):
            return found, f", in commit {self.commit}"
        return None, HERE

    def file(self, path: Path) -> Path | None:
        """Where the content of a file lies, here or in DVC's cache; None if it is in neither."""
        if self.commit is None and path.is_file():
            return path
        for folder, md5 in (self._recorded("deps") | self.outs).items():
            if path.is_relative_to(folder):
                found = cache.files(md5).get(path.relative_to(folder).as_posix())
                return found if found and found.is_file() else None
        return None

    def read(self, path: Path) -> bytes:
        """The content of a file; nothing if it is nowhere."""
        if found := self.file(path):
            return found.read_bytes()
        return git("show", f"{self.commit}:{path}").stdout if self.commit else b""

    def json(self, path: Path) -> dict:
        """The object in a JSON file; {} if it is nowhere. Raises Broken if it is damaged."""
        return self._parsed(path, {})

    def rows(self, path: Path) -> list[dict]:
        """The objects in the array of a JSON file; none if it is nowhere. Raises Broken if it is damaged."""
        return self._parsed(path, [])

    def _parsed(self, path: Path, nothing: dict | list) -> Any:
        try:
            content = json.loads(self.read(path) or json.dumps(nothing))
        except (ValueError, RecursionError) as error:
            raise Broken(str(path), f"it is damaged: {error}") from None
        if type(content) is not type(nothing):
            raise Broken(str(path), f"it is damaged: no {'object' if nothing == {} else 'array'}")
        return content

    def _recorded(self, kind: str) -> dict[str, str]:
        return {entry["path"]: entry["md5"] for stage in self.stages.values() for entry in stage.get(kind, [])}


def mend() -> bool:
    """Put back what dvc.lock was when the last stage began, if it is damaged: DVC writes it in place.

    Returns whether it was. Raises Broken if it was, and there is nothing to put back.
    """
    try:
        if LOCK.exists():
            Locked.here()
        return False
    except Broken:
        if not paths.LOCK_KEPT.exists():
            raise
    with replacing(LOCK) as temporary:
        shutil.copyfile(paths.LOCK_KEPT, temporary)
    return True


def free() -> bool:
    """Delete DVC's list of who reads and writes what, if DVC was killed in writing it; return whether it was."""
    for _ in range(2):  # it may be that DVC is just writing it
        try:
            json.loads(RUNNING.read_text())
            return False
        except FileNotFoundError:
            return False
        except ValueError:
            time.sleep(1)
    RUNNING.unlink(missing_ok=True)
    return True


def _stages(content: bytes) -> dict[str, dict]:
    try:
        if not content.endswith(b"\n"):
            raise TypeError("it ends within a line")
        stages = YAML(typ="safe", pure=True).load(content)["stages"]
        Locked(stages, None)  # has every path and hash
        return stages
    except (YAMLError, KeyError, TypeError, AttributeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise Broken(str(LOCK), f"it is damaged ({reason}): `pipeline mend`, or `git checkout {LOCK}`") from None


def _md5(path: Path) -> str | None:
    """A file's MD5, or a folder's as DVC computes it; None if there is nothing."""
    if path.is_file():
        return checksum(path, "md5")
    if not path.is_dir():
        return None
    files = [file for file in path.rglob("*") if file.is_file() and not file.name.startswith(PARTIAL)]
    return _folder({file.relative_to(path).as_posix(): checksum(file, "md5") for file in files})


def _together(path: Path, outs: dict[str, str]) -> str | None:
    """The same of a folder whose outputs lie in DVC's cache; None if one of them does not."""
    files = {}
    for out, md5 in outs.items():
        if cache.md5(md5) != md5:
            return None
        for name, file in cache.files(md5).items():
            files[(Path(out) / name).relative_to(path).as_posix()] = file.parent.name + file.name
    return _folder(files) if files else None


def _md5_at(commit: str, path: Path) -> str | None:
    """The same of what git has at a commit."""
    listed = git("ls-tree", "-r", "-z", "--name-only", commit, "--", str(path)).stdout.decode()
    names = listed.split("\0")[:-1]
    hashes = {name: hashlib.md5(git("show", f"{commit}:{name}").stdout).hexdigest() for name in names}
    if not names or names == [str(path)]:
        return hashes.get(str(path))
    return _folder({Path(name).relative_to(path).as_posix(): digest for name, digest in hashes.items()})


def _folder(files: dict[str, str]) -> str:
    """DVC's hash of a folder: over the list of its files and their hashes, sorted by name."""
    text = json.dumps([{"md5": digest, "relpath": name} for name, digest in sorted(files.items())])
    return hashlib.md5(text.encode()).hexdigest() + cache.FOLDER


def git(*arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run(["git", *arguments], capture_output=True)
