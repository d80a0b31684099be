"""How a command ends: what the user can mend is one line, a bug is a traceback."""

import errno
import gc
import io
import re
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from pipeline.core import paths, quiet

LONGEST = 2000  # characters of a message
PASSWORD = re.compile(r"(://[^\s/:@]*:)[^\s@]+@")  # in an address


class UserError(Exception):
    """Something the user can mend. The message is one line: what is wrong, and what to do.

    What it quotes may be hostile: line ends and control characters become spaces; an address' password becomes ***.
    """

    def __init__(self, message: str):
        super().__init__(one_line(message))


# What the user can mend, and what makes its line. A package that calls a library adds the library's exceptions.
MENDABLE: dict[type[Exception], Callable[[Exception], str]] = {UserError: str}


def run(command: Callable[[], None], interrupted: str = "run `dvc repro` to go on") -> None:
    """Run a command and exit: 0, 1 after one line on stderr, or 130 after Ctrl-C, whose line ends with `interrupted`.

    Notices of libraries are left out of what it prints (core/quiet.py). SIGTERM is turned into the same orderly
    interruption as Ctrl-C, so that a stopped job closes its MLflow run.
    """
    quiet.silence()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(line_buffering=True)  # lines reach a log when they are said
    try:
        command()
        gc.freeze()  # or Python would walk through all of TensorFlow once more at its exit, for 1.7 s
    except tuple(MENDABLE) as error:
        message = next(line(error) for kind, line in MENDABLE.items() if isinstance(error, kind))
        sys.exit(f"error: {one_line(message)}")
    except OSError as error:
        if error.errno in _STORAGE:
            sys.exit(f"error: {one_line(str(error.filename or 'a file'))}: {_STORAGE[error.errno]}")
        if error.errno == errno.ENOENT and {*Path(error.filename or "").parts[:1]} & paths.MADE:
            sys.exit(f"error: {one_line(str(error.filename))} is missing: `dvc repro` makes it")
        raise
    except KeyboardInterrupt:
        print(f"interrupted: {interrupted}", file=sys.stderr)
        sys.exit(130)


_STORAGE = {
    errno.ENOSPC: "the disk is full; free some space and run again",
    errno.EDQUOT: "the disk quota is used up; free some space and run again",
    errno.EROFS: "the folder is read-only; make it writable or work in another clone",
    errno.EACCES: "permission denied; make it readable and writable for this user",
    errno.EPERM: "permission denied; make it readable and writable for this user",
}


def one_line(message: str) -> str:
    """Return a message as it may be shown: without line ends and control characters, passwords as ***."""
    return PASSWORD.sub(r"\1***@", " ".join(printable(message, " ").split()))[:LONGEST]


def printable(text: str, instead: str = "\N{REPLACEMENT CHARACTER}") -> str:
    """Return the text without what would steer a terminal: names of files, and what others wrote, may hold anything."""
    return "".join(character if character.isprintable() else instead for character in text)


def require_space(folder: Path, needed: int) -> None:
    """Raise UserError unless `needed` bytes are free in `folder`, which is made; OSError if it takes no file."""
    folder.mkdir(parents=True, exist_ok=True)
    tempfile.TemporaryFile(dir=folder, prefix=".writable-").close()
    if (free := shutil.disk_usage(folder).free) < needed:
        raise UserError(f"{folder}: {needed / 1e6:.0f} MB needed, {free / 1e6:.0f} MB free; free some space")
