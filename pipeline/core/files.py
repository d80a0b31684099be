"""Files, read and written: whole or not at all, under a temporary name first; their checksums; and locks."""

import contextlib
import errno
import fcntl
import fnmatch
import hashlib
import json
import os
import re
import shutil
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from pipeline.core.errors import UserError

# Names of what systems, editors and synchronisers leave in folders, which is no part of a result or a set of pictures.
# The patterns mean the same to fnmatch and in .dvcignore and .gitignore, which have the same list.
SYSTEM_FILES = (
    *(".DS_Store", "._*", ".AppleDouble", ".LSOverride", "Icon[! -~]", ".VolumeIcon.icns", ".apdisk", "__MACOSX"),
    *(".Spotlight-V100", ".fseventsd", ".DocumentRevisions-V100", ".TemporaryItems", "Temporary Items"),
    *("[Tt]humbs.db", "ehthumbs*.db", "[Dd]esktop.ini", "$RECYCLE.BIN", "System Volume Information"),
    *("~$*", ".~lock.*", "*~", ".[#]*", "[#]*[#]", ".*.sw?", ".*.kate-swp", ".goutputstream-*", ".ipynb_checkpoints"),
    *("*:Zone.Identifier", ".directory", ".Trash*", ".thumbnails", "lost+found", ".nfs*", ".fuse_hidden*"),
    *("@eaDir", "*@SynoEAStream", "*@SynoResource", ".@__thumb", "@Recycle", "[#]recycle", "[#]snapshot"),
    *(".dropbox*", ".stfolder*", ".stversions", ".syncthing.*", "~syncthing~*", ".sync_*.db*", ".tmp.drive*"),
    *("__pycache__", "*.pyc"),
)
_SYSTEM_FILE = re.compile("|".join(map(fnmatch.translate, SYSTEM_FILES)))


def is_system_file(name: str) -> bool:
    """Return whether a file or folder of this name (without its path) is left by a system, an editor or the like."""
    return _SYSTEM_FILE.match(name) is not None


def list_files(folder: Path, pattern: str = "*") -> list[Path]:
    """Return what in `folder` matches a pattern of Path.glob, by name, without system files and folders.

    Raises OSError if there is no such folder, or it cannot be read.
    """
    next(folder.iterdir(), None)  # which raises; glob finds nothing instead
    found = folder.glob(pattern)
    return sorted(path for path in found if not any(map(is_system_file, path.relative_to(folder).parts)))


def locate(path: Path) -> tuple[Path, os.stat_result | None]:
    """Return the file that is to be written for `path`, and its status; None if there is no such file yet.

    Links are followed, except into DVC's cache, where no file ever changes. What is written to in place, as a device or
    /dev/stderr, is `path` itself. Raises UserError if it cannot be written.
    """
    try:
        status = path.stat()
    except FileNotFoundError:
        status = None
    except OSError as error:
        if error.errno not in (errno.ELOOP, errno.ENOTDIR, errno.ENAMETOOLONG):
            raise
        raise UserError(f"{path} cannot be written ({(error.strerror or '').lower()}): name another file") from None
    if status and (stat.S_ISDIR(status.st_mode) or stat.S_ISSOCK(status.st_mode)):
        kind = "folder" if stat.S_ISDIR(status.st_mode) else "socket"
        raise UserError(f"{path} is a {kind}: take it away, or name another file")
    if status and (not stat.S_ISREG(status.st_mode) or _descriptor(path) is not None):
        return path, status
    real = Path(os.path.realpath(path))
    if real.parts[-4:-2] == ("files", "md5"):
        return path, None
    if not real.parent.is_dir():
        raise UserError(f"{path} cannot be written: make the folder {real.parent}, or name another file")
    return real, status


def _descriptor(path: Path) -> int | None:
    """Return the descriptor of this process that /dev/stderr, /dev/fd/3 or a link to these names; None: another file.

    Raises UserError if it is open for reading only.
    """
    while path.parent.resolve() != Path(f"/proc/{os.getpid()}/fd"):
        if not path.is_symlink():
            return None
        path = path.parent / path.readlink()
    if fcntl.fcntl(number := int(path.name), fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY:
        raise UserError(f"{path} is open for reading only: name another file")
    return number


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary name, with the suffix of `path`: what the block writes there replaces `path` if it succeeds.

    A file keeps its mode and owner; its hard links keep the old content. What is no regular file, as a device or a
    pipe, or cannot be replaced, gets the content written to it; a descriptor, as /dev/stderr, where it stands: whoever
    shares it, as a shell, goes on behind the content. Raises UserError as `locate`.
    """
    with contextlib.suppress(FileExistsError, NotADirectoryError):  # which `locate` says
        path.parent.mkdir(parents=True, exist_ok=True)
    real, status = locate(path)
    descriptor = _descriptor(path)
    replaceable = status is None or (stat.S_ISREG(status.st_mode) and os.access(real.parent, os.W_OK))
    in_place = descriptor is not None or not replaceable
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory())) if in_place else real.parent
        temporary = folder / f".partial-{real.name[-50:]}"  # .dvcignore knows it
        stack.callback(temporary.unlink, missing_ok=True)
        temporary.unlink(missing_ok=True)  # perhaps a link, whose file would be written
        yield temporary
        if not in_place:
            if status:
                _resemble(temporary, status)
            try:
                temporary.replace(real)
                return
            except OSError as error:
                if error.errno not in (errno.EBUSY, errno.EPERM):  # mounted by itself, or another user's, in /tmp
                    raise
        place: Path | int = real if descriptor is None else os.dup(descriptor)
        with temporary.open("rb") as source, open(place, "wb") as target:  # noqa: PTH123  Path opens no descriptor
            shutil.copyfileobj(source, target)


def _resemble(path: Path, status: os.stat_result) -> None:
    """Give a file the owner, group and mode of another one, as far as this user and the file system can."""
    for owner, group in ((-1, status.st_gid), (status.st_uid, -1)):
        with contextlib.suppress(OSError):
            os.chown(path, owner, group, follow_symlinks=False)
    with contextlib.suppress(OSError):
        path.chmod(stat.S_IMODE(status.st_mode))


def alone(lock: Path, blocking: bool = True) -> FileLock:
    """Return a lock on a file, to be held in a `with` block: one process at a time; the others wait.

    Not `blocking`: for the others, entering the block raises filelock.Timeout. On a file system without locks it raises
    OSError: what filelock would do there instead waits for ever after a process was killed.
    """
    lock.parent.mkdir(parents=True, exist_ok=True)
    return FileLock(lock, blocking=blocking, fallback_to_soft=False)


def fresh_folder(path: Path) -> Path:
    """Return `path` as an empty folder: what a stage writes there is all there is.

    Of a link the link is removed, as DVC does, and not what it leads to.
    """
    if path.is_symlink():
        path.unlink()
    elif path.is_file():
        raise UserError(f"{path} is a file where a folder is made: take it away")
    elif path.exists():
        shutil.rmtree(path)
    path.mkdir(parents=True)
    return path


def own_folder(path: Path) -> Path:
    """Return `path` as a folder, made if it is missing. A link is removed first, and what it leads to is left alone."""
    if path.is_symlink():
        path.unlink()
    path.mkdir(parents=True, exist_ok=True)
    return path


def copy(source: Path, target: Path) -> None:
    with replacing(target) as temporary:
        shutil.copyfile(source, temporary)


def write_json(path: Path, value: Any) -> None:
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(value, indent=2) + "\n")


def read_json(path: Path, *keys: str) -> Any:
    """Read a JSON file that the project wrote.

    Raises UserError if it is damaged, has a merge conflict, or is no object with these `keys`.
    """
    try:
        value = json.loads(path.read_text())
        if missing := [key for key in keys if not isinstance(value, dict) or key not in value]:
            raise ValueError(f"it lacks {', '.join(missing)}")
        return value
    except (ValueError, RecursionError) as error:
        refuse_conflict(path)
        remedy = f"bring it back with `dvc checkout` or `git checkout {path}`"
        raise UserError(f"{path} is damaged ({error}): {remedy}") from None


def read_yaml(path: Path) -> Any:
    """Read YAML 1.2 in UTF-8, as DVC writes it: there, unlike in 1.1, `1e-05` is a number.

    Raises UserError if it has a merge conflict, UnicodeDecodeError, or ruamel.yaml.error.YAMLError if it is not YAML or
    has a key twice.
    """
    try:
        return YAML(typ="safe", pure=True).load(path.read_text("utf-8"))
    except YAMLError:
        refuse_conflict(path)
        raise


def refuse_conflict(path: Path) -> None:
    """Raise UserError if git has left both sides of a merge in a file that it tracks."""
    if any(line.startswith(b"<<<<<<<") for line in path.read_bytes().splitlines()):
        how = f"`git status` says how to resolve or abort it, `git checkout --ours {path}` (or --theirs) takes one side"
        raise UserError(f"{path} has a merge conflict: {how}")


def write_array(path: Path, array: np.ndarray) -> None:
    """Write a .npy file."""
    with replacing(path) as temporary:
        np.save(temporary, array)


def folder_checksum(folder: Path) -> str:
    """SHA-256 over the names and the SHA-256 of all files in a folder and those below it, but for system files."""
    files = {
        path.relative_to(folder).as_posix(): checksum(path) for path in list_files(folder, "**/*") if path.is_file()
    }
    return hashlib.sha256(json.dumps(files, sort_keys=True).encode()).hexdigest()


def checksum(path: Path, algorithm: str = "sha256") -> str:
    """Hexadecimal digest of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, algorithm).hexdigest()


def matches(path: Path, algorithm: str, digest: str) -> bool:
    """Return whether `path` is a file with this checksum."""
    return path.is_file() and checksum(path, algorithm) == digest
