"""Progress: a bar with an ETA on a terminal, plain lines in a log."""

import sys
import time
from typing import TextIO

from tqdm import tqdm


def verbosity() -> int:
    """Return Keras' `verbose`: 1, a bar, on a terminal; 0, nothing, in a log."""
    return 1 if sys.stdout.isatty() else 0


class Progress(tqdm):
    """A tqdm bar on a terminal; otherwise a line every tenth of the way, with the time left. `file`: else stdout."""

    def __init__(self, name: str, total: int | None, unit: str, start: int = 0, file: TextIO | None = None):
        file = file or sys.stdout
        super().__init__(desc=name, total=total, initial=start, unit=unit, unit_scale=True, file=file, disable=None)
        self._name, self._file, self._start, self._said = name, file, start, float(start)
        self._began = time.perf_counter()

    def update(self, n: float | None = 1) -> None:
        super().update(n)
        if not self.disable:
            return
        self.n += n or 0  # which tqdm counts for a bar only
        if self.total and self.n - self._said >= self.total / 10:
            self._said = self.n
            left = (time.perf_counter() - self._began) * (self.total - self.n) / (self.n - self._start)
            print(f"{self._name}: {self.n / self.total:.0%}, {left:.0f} s left", file=self._file, flush=True)
