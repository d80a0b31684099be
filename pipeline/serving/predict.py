"""Predictions of any number of pictures, in batches: what is in memory does not depend on how many there are."""

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.data.cifar10 import CLASSES
from pipeline.serving import pictures
from pipeline.serving.load import Model

BATCH = 100  # pictures


@dataclass(frozen=True)
class Prediction:
    """What a model says of a file: probabilities float32 (10,), or the reason why it could not be read."""

    path: Path
    probabilities: np.ndarray | None = None
    reason: str | None = None

    def best(self, count: int) -> list[tuple[str, float]]:
        """The `count` most probable classes and their probabilities, the most probable first."""
        assert self.probabilities is not None, "a file that could not be read has none"  # noqa: S101
        order = np.argsort(-self.probabilities, kind="stable")[:count]
        return [(CLASSES[index], float(self.probabilities[index])) for index in order]


def predict(paths: Iterable[Path], model: Model) -> Iterator[Prediction]:
    """Yield a prediction for each file, in their order. A file that cannot be read does not keep the others from it."""
    waiting = iter(paths)
    while batch := list(itertools.islice(waiting, BATCH)):
        read = [_read(path) for path in batch]
        images = [found for found in read if isinstance(found, np.ndarray)]
        probabilities = iter(model(np.stack(images)) if images else ())
        for path, found in zip(batch, read, strict=True):
            if isinstance(found, np.ndarray):
                yield Prediction(path, next(probabilities))
            else:
                yield Prediction(path, reason=str(found))


def _read(path: Path) -> np.ndarray | pictures.Unreadable:
    try:
        return pictures.read(path)
    except pictures.Unreadable as reason:
        return reason
