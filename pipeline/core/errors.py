"""How a command ends: what the user can mend is one line, a bug is a traceback."""

import errno
import gc
import io
import os
import pwd
import re
import shutil
import signal
import sqlite3
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pipeline.core import paths, quiet

LONGEST = 2000  # characters of a message
PASSWORD = re.compile(r"(://)[^\s/]+@")  # in an address, with the user: a token may be all there is


class UserError(Exception):
    """Something the user can mend. The message is one line: what is wrong, and what to do.

    What it quotes may be hostile: line ends and control characters become spaces. In an address, *** is all before @.
    """

    def __init__(self, message: str):
        super().__init__(one_line(message))


def run(command: Callable[[], None], interrupted: str = "run `dvc repro` to go on") -> None:
    """Run a command and exit: 0, 1 after one line on stderr, or 130 after Ctrl-C, whose line ends with `interrupted`.

    What `explain` does not know is raised, for a traceback. Notices of libraries are left out of what the command
    prints (core/quiet.py). SIGTERM is turned into the same orderly interruption as Ctrl-C, so that a stopped job closes
    its MLflow run.
    """
    try:
        _name_user()
        quiet.silence()
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        if isinstance(sys.stdout, io.TextIOWrapper):
            # Lines reach a log when they are said, and a file's name need not be text.
            sys.stdout.reconfigure(line_buffering=True, errors="backslashreplace")
        command()
        gc.freeze()  # or Python would walk through all of TensorFlow once more at its exit, for 1.7 s
    except KeyboardInterrupt:
        print(f"interrupted: {interrupted}", file=sys.stderr)
        sys.exit(130)
    except Exception as error:
        message = explain(error)
        if message is None:
            raise
        sys.exit(f"error: {one_line(message)}")


def explain(error: Exception) -> str | None:
    """Return the line for what the user can mend; None for a bug, which gets a traceback.

    The surroundings are to blame for UserError, for what the system refuses (OSError, except EBADF and
    io.UnsupportedOperation, which come of misusing one's own files) or has no more of (memory, threads), for a damaged
    file or environment (a database, a package that is not installed), and for a ValueError that names a variable of the
    environment. All others, as TypeError, KeyError or a failed assertion, are bugs.
    """
    if type(error).__name__ == "ResourceExhaustedError":  # TensorFlow's, for the memory of a GPU, too
        return _memory(error)
    return next((MENDABLE[kind](error) for kind in type(error).__mro__ if kind in MENDABLE), None)


def _system(error: OSError) -> str | None:
    """Return the line for what the system has refused, with the file, and what helps where that is known."""
    if error.errno == errno.EBADF or isinstance(error, io.UnsupportedOperation):
        return None
    file, number = os.fsdecode(error.filename) if isinstance(error.filename, str | bytes) else "", error.errno
    if number == errno.ENOENT and {*Path(file).parts[:1]} & paths.MADE:
        return f"{file} is missing: `dvc repro` makes it"
    if number in (errno.ENOSPC, errno.EDQUOT):
        file = file or "the folder, or that of TMPDIR"
    reason = error.strerror.lower() if number and error.strerror else str(error) or type(error).__name__
    return ": ".join(filter(None, [file, REFUSALS.get(number or 0, f"{reason}; correct the cause and run again")]))


def _memory(error: Exception) -> str:
    return f"not enough memory; end other programs, or give smaller batches ({one_line(str(error))[:200] or 'no more'})"


def _package(error: ModuleNotFoundError) -> str | None:
    name = (error.name or "pipeline").partition(".")[0]
    return f"the package {name} is not installed: activate .venv, which make builds" if name != "pipeline" else None


def _value(error: ValueError) -> str | None:
    named = [word for word in re.findall(r"\b[A-Z0-9]+_[A-Z0-9_]+\b", str(error)) if word in os.environ]
    return f"{error}: correct {named[0]}, or unset it" if named else None


def _runtime(error: RuntimeError) -> str | None:
    if str(error).startswith("RESOURCE_EXHAUSTED"):  # JAX
        return _memory(error)
    return f"{error}; end other programs, or raise `ulimit -u`" if "start new thread" in str(error) else None


def _database(error: sqlite3.Error) -> str | None:
    return f"SQLite says: {error}: correct the cause and run again" if is_refusal(error) else None


def is_refusal(error: sqlite3.Error) -> bool:
    """Return whether the system has refused something to SQLite; not if a file or a statement is what is wrong."""
    name = getattr(error, "sqlite_errorname", "")
    return name.startswith(("SQLITE_BUSY", "SQLITE_CANTOPEN", "SQLITE_FULL", "SQLITE_IOERR", "SQLITE_READONLY"))


# What the user can mend, and what makes its line, or None. A package that calls a library adds what that raises.
MENDABLE: dict[type[Exception], Callable[[Any], str | None]] = {
    UserError: str,
    OSError: _system,
    MemoryError: _memory,
    ModuleNotFoundError: _package,
    ValueError: _value,
    RuntimeError: _runtime,
    sqlite3.Error: _database,
}
_PERMISSION = "permission denied; make it readable and writable for this user"
_LIMITED = "the file system, here or of the store, cannot do all that is needed (as locks); use a local disk"
REFUSALS = {
    errno.ENOSPC: "the disk is full; free some space and run again",
    errno.EDQUOT: "the disk quota is used up; free some space and run again",
    errno.EROFS: "the folder is read-only; make it writable or work in another clone",
    errno.EACCES: _PERMISSION,
    errno.EPERM: _PERMISSION,
    errno.EMFILE: "too many open files; raise the limit (`ulimit -n 4096`) and run again",
    errno.ENFILE: "the machine has too many open files; end other programs and run again",
    errno.ENOMEM: "not enough memory; end other programs and run again",
    errno.EAGAIN: "the system has no room for this now; end other programs, or raise the limit (`ulimit -u`)",
    errno.ENOLCK: "the file system, here or of the store, has no locks; use a local disk, or mount it with locks",
    errno.ENOSYS: _LIMITED,
    errno.EOPNOTSUPP: _LIMITED,
    errno.ENAMETOOLONG: "the name is too long; give a shorter one, or move the project nearer to the root",
    errno.EIO: "the disk, or the connection to it, fails (input/output error); check it and run again",
    errno.ESTALE: "the network folder is gone (stale handle); mount it again",
    errno.ELOOP: "its symbolic links lead in a circle; mend them",
    errno.EBUSY: "it is in use; end what uses it and run again",
    errno.ETXTBSY: "it is in use; end what uses it and run again",
    errno.EPIPE: "what reads the output has ended",
}


def _name_user() -> None:
    """Give a user id that the system has no name for, as in a container, a name and a home: libraries ask for them."""
    try:
        pwd.getpwuid(os.getuid())
    except KeyError:
        os.environ.setdefault("LOGNAME", str(os.getuid()))
        os.environ.setdefault("HOME", "/")  # as container runtimes do


def one_line(message: str) -> str:
    """Return a message as it may be shown: without line ends and control characters, credentials as ***."""
    return PASSWORD.sub(r"\1***@", " ".join(printable(message, " ").split()))[:LONGEST]


def note(message: str) -> None:
    """Print a line on stderr that ends nothing: what was found amiss, and what was done about it."""
    print(f"note: {one_line(message)}", file=sys.stderr)


def printable(text: str, instead: str = "\N{REPLACEMENT CHARACTER}") -> str:
    """Return the text without what would steer a terminal: names of files, and what others wrote, may hold anything."""
    return "".join(character if character.isprintable() else instead for character in text)


def require_space(folder: Path, needed: int) -> None:
    """Raise UserError unless `needed` bytes are free in `folder`, which is made; OSError if it takes no file."""
    folder.mkdir(parents=True, exist_ok=True)
    tempfile.TemporaryFile(dir=folder, prefix=".writable-").close()
    if (free := shutil.disk_usage(folder).free) < needed:
        raise UserError(f"{folder}: {needed / 1e6:.0f} MB needed, {free / 1e6:.0f} MB free; free some space")
