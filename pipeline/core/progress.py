"""Progress: a bar with an ETA on a terminal, plain lines in a log."""

import sys
import time
from typing import TextIO

from tqdm import tqdm


def verbosity() -> int:
    """Return Keras' `verbose`: 1, a bar, on a terminal; 0, nothing, in a log."""
    return 1 if sys.stdout.isatty() else 0


class Progress(tqdm):
    """A tqdm bar on a terminal; otherwise a line every tenth of the way, with the time left.

    `file`: where to, standard output unless that is for results.
    """

    def __init__(self, name: str, total: int | None, unit: str, start: int = 0, file: TextIO | None = None):
        self._file = file or sys.stdout
        super().__init__(
            desc=name, total=total, initial=start, unit=unit, unit_scale=True, file=self._file, disable=None
        )
        self._name, self._whole, self._start = name, total, start
        self._done = self._said = float(start)
        self._began = time.perf_counter()

    def update(self, n: float | None = 1) -> None:
        super().update(n)
        self._done += n or 0
        if not self.disable or not self._whole or self._done - self._said < self._whole / 10:
            return
        self._said = self._done
        seconds = time.perf_counter() - self._began
        left = seconds * (self._whole - self._done) / (self._done - self._start)
        print(f"{self._name}: {self._done / self._whole:.0%}, {left:.0f} s left", file=self._file, flush=True)
