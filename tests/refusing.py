"""`python -m tests.refusing`: runs commands of `pipeline` on a system that refuses some of their system calls.

The kernel refuses them by a filter (seccomp), so that libraries in C meet it as well. Each line on stdin is a case as
JSON; its answer is a line on stdout, with the exit status. A case runs in a fork of this process, which has imported
already what the commands need, and can get its filter as no process can get rid of it again.
"""

import contextlib
import ctypes
import ctypes.util
import errno
import fcntl
import importlib
import json
import os
import pkgutil
import signal
import sys
import time
import traceback
from collections.abc import Iterator
from typing import Any, NamedTuple

LIBRARY = ctypes.util.find_library("seccomp")
PATIENCE = 60.0  # seconds
GREATER, MASKED, REFUSE, ALLOW = 6, 7, 0x00050000, 0x7FFF0000  # of seccomp.h


@contextlib.contextmanager
def as_nobody() -> Iterator[None]:
    """Be no more than any user within the block."""
    user = os.geteuid()
    os.setresuid(user or 65_534, user or 65_534, user)
    try:
        yield
    finally:
        os.setresuid(user, user, user)


class Call(NamedTuple):
    """A system call, and when it is refused: always, or if `argument`, cut by `mask`, is `value`, or more than that."""

    name: str
    argument: int = 0
    value: int | None = None
    mask: int = 0


class _Condition(ctypes.Structure):
    _fields_ = (("argument", ctypes.c_uint), ("how", ctypes.c_int), ("a", ctypes.c_uint64), ("b", ctypes.c_uint64))


LOCKING = (fcntl.F_SETLK, fcntl.F_SETLKW, 37, 38)  # the last two are the locks of open file descriptions
FILE = {"argument": 0, "value": 2}  # any file but the three that a program is started with
CALLS = {
    "locks": [Call("flock"), *(Call("fcntl", 1, command, 0xFFFFFFFF) for command in LOCKING)],
    "opening a file to write": [Call("openat", 2, mode, os.O_ACCMODE) for mode in (os.O_WRONLY, os.O_RDWR)],
    "making a file": [Call("openat", 2, os.O_CREAT, os.O_CREAT)],
    "opening a file": [Call("openat")],
    "writing": [Call(name, **FILE) for name in ("write", "writev", "pwrite64", "ftruncate")],
    "reading": [Call(name, **FILE) for name in ("read", "readv", "pread64")],
    "writing through": [Call("fsync"), Call("fdatasync")],
    "making a folder": [Call("mkdir"), Call("mkdirat")],
    "listing a folder": [Call("getdents64")],
    "renaming": [Call("rename"), Call("renameat"), Call("renameat2")],
    "deleting": [Call("unlink"), Call("unlinkat"), Call("rmdir")],
    "looking for a file": [Call("stat"), Call("lstat"), Call("newfstatat"), Call("statx")],
    "a mode or a time": [Call("fchmod"), Call("chmod"), Call("fchmodat"), Call("utimensat")],
    "a socket": [Call("socket")],
    "another program": [Call("execve"), Call("execveat")],
    "another process": [Call("fork"), Call("vfork"), Call("clone"), Call("clone3")],
}
REFUSED = [
    (what, number)
    for what, numbers in {
        "locks": (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EIO),
        "opening a file to write": (errno.EROFS, errno.EACCES),
        "making a file": (errno.ENOSPC, errno.EDQUOT, errno.ENAMETOOLONG),
        "opening a file": (errno.EMFILE, errno.ENFILE, errno.EIO, errno.ELOOP, errno.ENOMEM, errno.ESTALE),
        "writing": (errno.ENOSPC, errno.EIO),
        "reading": (errno.EIO, errno.ESTALE, errno.EISDIR),
        "writing through": (errno.EIO, errno.EDQUOT),
        "making a folder": (errno.EACCES, errno.ENOSPC, errno.ENOTDIR),
        "listing a folder": (errno.EIO, errno.ESTALE),
        "renaming": (errno.EIO, errno.EBUSY, errno.EXDEV),
        "deleting": (errno.EIO, errno.EPERM),
        "looking for a file": (errno.EACCES, errno.ESTALE),
        "a mode or a time": (errno.EPERM, errno.EOPNOTSUPP),
        "a socket": (errno.EACCES, errno.EAFNOSUPPORT, errno.EMFILE),
        "another program": (errno.EACCES, errno.ETXTBSY, errno.ENOMEM),
        "another process": (errno.EAGAIN, errno.ENOMEM),
    }.items()
    for number in numbers
]


def refuse(calls: list[Call], number: int) -> None:
    """Have the kernel refuse these calls of this process, for good, with that error."""
    library = ctypes.CDLL(LIBRARY, use_errno=True)
    library.seccomp_init.restype = ctypes.c_void_p
    library.seccomp_init.argtypes = [ctypes.c_uint32]
    library.seccomp_load.argtypes = [ctypes.c_void_p]
    add = library.seccomp_rule_add_array
    add.argtypes = [ctypes.c_void_p, ctypes.c_uint32, ctypes.c_int, ctypes.c_uint, ctypes.POINTER(_Condition)]
    filtering = library.seccomp_init(ALLOW)
    for call in calls:
        conditions = []
        if call.value is not None:
            how = (MASKED, call.mask, call.value) if call.mask else (GREATER, call.value, 0)
            conditions = [_Condition(call.argument, *how)]
        found = library.seccomp_syscall_resolve_name(call.name.encode())
        if found >= 0 and add(filtering, REFUSE | number, found, len(conditions), (_Condition * 1)(*conditions)):
            raise RuntimeError(f"no filter of {call}")
    if library.seccomp_load(filtering):
        raise RuntimeError("the system takes no filter")


def prepare() -> None:
    """Import what commands import when they run, but for TensorFlow, which may not be forked."""
    import pipeline
    from pipeline.core import errors  # noqa: F401

    for module in pkgutil.walk_packages(pipeline.__path__, "pipeline."):
        package = module.name.split(".")[1]
        if package in ("cli", "core", "data", "lineage", "recovery", "registry", "reporting", "serving", "tracking"):
            importlib.import_module(module.name)
    importlib.import_module("pipeline.export.runtimes")
    importlib.import_module("tabulate")
    from mlflow import MlflowClient

    MlflowClient(f"sqlite:///{os.environ['WARM']}").search_experiments()


def main() -> None:
    prepare()
    print("ready", flush=True)
    for line in sys.stdin:
        case = json.loads(line)
        sys.stdout.flush()
        child = os.fork()
        if child == 0:
            os._exit(run(case))
        print(json.dumps(wait(child)), flush=True)
    os._exit(0)  # to end in order takes seconds


def wait(child: int) -> int:
    """Return the exit status of the child; it is killed if it takes longer than PATIENCE."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.01)
    os.kill(child, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def run(case: dict[str, Any]) -> int:
    """Run a command as the program `pipeline` would be; return its exit status."""
    from pipeline import __main__

    os.chdir(case["folder"])
    for name, descriptor in (("stdout", 1), ("stderr", 2)):
        os.dup2(os.open(f"{case['output']}.{name}", os.O_WRONLY | os.O_CREAT | os.O_TRUNC), descriptor)
        # Not as `__stderr__`: the filter of the libraries' notices would be a process that outlives this one.
        setattr(sys, name, open(descriptor, "w", closefd=False))  # noqa: SIM115
    sys.argv = ["pipeline", *case["arguments"]]
    if case["calls"]:
        refuse([Call(*call) for call in case["calls"]], case["number"])
    status: Any = 0
    try:
        __main__.entry()
    except SystemExit as end:
        status = end.code
        if isinstance(status, str):  # as Python does
            print(status, file=sys.stderr)
            status = 1
    except BaseException:
        traceback.print_exc()
        status = 1
    sys.stdout.flush()
    sys.stderr.flush()
    return int(status or 0)


if __name__ == "__main__":
    main()
