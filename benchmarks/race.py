"""Methods against each other: each trains in a process of its own, and tells when an epoch has ended."""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable

from pipeline.core.errors import UserError


class Stopwatch:
    """Seconds since `start`, which a method calls when its libraries are imported and its device is set up."""

    def __init__(self, lap: Callable[[dict], None]):
        self._lap, self._began, self._epochs = lap, None, 0

    def start(self) -> None:
        self._began = time.perf_counter()

    def lap(self, accuracy: float) -> None:
        """An epoch has ended, with this validation accuracy, a fraction."""
        self._epochs += 1
        seconds = time.perf_counter() - self._began
        self._lap({"epoch": self._epochs, "seconds": seconds, "val_accuracy": accuracy})


def run(benchmark: str, methods: tuple[str, ...]) -> list[dict]:
    """Run the methods of a benchmark one after the other, each in a process of its own that calls `contender`.

    Returns a row an epoch: method, epoch, seconds, val_accuracy. Raises UserError if one of them fails.
    """
    rows = []
    for method in methods:
        command = [sys.executable, "-m", f"benchmarks.{benchmark}", method]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            try:
                for line in process.stdout:
                    rows.append({"method": method} | json.loads(line))
                    print("{method}: epoch {epoch}, {seconds:.1f} s, {val_accuracy:.4f}".format(**rows[-1]), flush=True)
            except BaseException:  # above all an interruption, which may have reached this process only
                process.terminate()
                raise
        if process.returncode:
            raise UserError(f"benchmark {benchmark}: {method} failed, as said above")
    return rows


def contender(methods: dict[str, Callable[[Stopwatch], None]]) -> None:
    """What a process of `run` does: the method that is named on its command line."""
    parser = argparse.ArgumentParser(description="one method of a benchmark: `make bench` runs and compares them")
    parser.add_argument("method", choices=methods)
    method = methods[parser.parse_args().method]
    out, sys.stdout = sys.stdout, sys.stderr  # of what the training itself prints
    method(Stopwatch(lambda row: print(json.dumps(row), file=out, flush=True)))


def seconds_to(accuracy: float, method: str, rows: list[dict]) -> float | None:
    """Of the rows of `run`, the method's first seconds with at least this validation accuracy; None if it has none."""
    reached = (row["seconds"] for row in rows if row["method"] == method and row["val_accuracy"] >= accuracy)
    return min(reached, default=None)
