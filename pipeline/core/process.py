"""What a process has cost the machine so far, and what it ran with: the facts that go to records/."""

import contextlib
import datetime
import importlib.metadata
import resource
import time

BEGAN = time.monotonic()  # a stage imports this before the libraries that take seconds


def spent() -> dict[str, float]:
    """Return `wall_seconds`, `cpu_seconds` of all threads, both with imports, and `peak_memory_gb` (10^9 bytes)."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return {
        "wall_seconds": time.monotonic() - BEGAN,
        "cpu_seconds": used.ru_utime + used.ru_stime,
        "peak_memory_gb": used.ru_maxrss * 1024 / 1e9,  # Linux counts in KiB
    }


LIBRARIES = ("tensorflow", "jax", "keras", "numpy")  # a new version of one may change the bytes of a result


def began() -> str:
    """Return when the process began: ISO 8601, UTC, whole seconds."""
    now = datetime.datetime.now(datetime.UTC)
    return (now - datetime.timedelta(seconds=time.monotonic() - BEGAN)).isoformat(timespec="seconds")


def versions() -> dict[str, str]:
    """Return the installed version of each of LIBRARIES that is there, which takes no import."""
    found = {}
    for name in LIBRARIES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    return found
