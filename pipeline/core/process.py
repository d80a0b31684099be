"""What a process has cost the machine so far."""

import resource
import time

BEGAN = time.monotonic()  # a stage imports this before the libraries that take seconds


def spent() -> dict[str, float]:
    """`wall_seconds` and, of all its threads, `cpu_seconds`, the import of libraries among them; `peak_memory_gb`
    (10^9 bytes)."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return {
        "wall_seconds": time.monotonic() - BEGAN,
        "cpu_seconds": used.ru_utime + used.ru_stime,
        "peak_memory_gb": used.ru_maxrss * 1024 / 1e9,  # Linux counts in KiB
    }
