"""Faults injected on purpose, and what became of them: `make drill`."""

from tools import surroundings

surroundings.isolate()
