"""What a process has cost the machine so far."""

import resource


def spent() -> dict[str, float]:
    """`cpu_seconds` of all its threads, the import of libraries among them, and `peak_memory_gb` (10^9 bytes)."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return {
        "cpu_seconds": used.ru_utime + used.ru_stime,
        "peak_memory_gb": used.ru_maxrss * 1024 / 1e9,  # Linux counts in KiB
    }
