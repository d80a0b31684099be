"""What a training step is fed: batches of images to augment, or of a trunk's cached activations."""

import abc

import numpy as np

from pipeline.core.schema import AugmentedTraining, Training
from pipeline.training.augmentation import draw, moves


def one_hot(labels: np.ndarray) -> np.ndarray:
    """Return labels uint8 (N,) in 0 to 9 as float32 (N, 10)."""
    return np.eye(10, dtype="float32")[labels]


class Batches(abc.ABC):
    """One epoch of whole batches, the remainder left out. The same seed and epoch give the same batches."""

    def __init__(self, labels: np.ndarray, batch_size: int, seed: int, epoch: int):
        self._targets, self._size = one_hot(labels), min(batch_size, len(labels))
        self._rng = np.random.default_rng([seed, epoch])
        self._order = self._rng.permutation(len(labels))

    def __len__(self) -> int:
        return len(self._targets) // self._size

    def _chosen(self, step: int) -> np.ndarray:
        """Return the indices of a step's images."""
        return self._order[step * self._size : (step + 1) * self._size]

    @abc.abstractmethod
    def __getitem__(self, step: int) -> tuple:
        """Return a step's inputs, and one-hot targets float32 (B, 10)."""


def side_in(epoch: int, training: AugmentedTraining, side: int) -> int:
    """Return the side of an epoch's pictures in pixels: small in the first epochs, then `side`."""
    return training.small if epoch < int(training.small_share * training.epochs + 1e-9) else side


class AugmentedImages(Batches):
    """Instructions for `augmentation.Augment`: what to do with each image of a batch.

    `index` int32 (B,); `rows` and `columns` float32 (B, side, 32), the maps that mirror, move (`augmentation.draw`) and
    resize it. In the first epochs, a share `small_share`, the side is `small`, then `side`. With CutMix
    (arXiv:1905.04899), a share `cutmix` of the images gets a box of another one, and its share of the target: `other`
    int32 (B,), `box_rows` and `box_columns` float32 (B, side), 1 inside the box.
    """

    def __init__(self, labels: np.ndarray, training: AugmentedTraining, side: int, seed: int, epoch: int):
        """`side`: pixels, of the pictures in the last epochs."""
        count = len(labels)
        super().__init__(labels, training.batch_size, seed, epoch)
        self._side = side_in(epoch, training, side)
        self._moves = moves(self._side, training.shift)
        self._mirrored, self._offsets = draw(count, training.shift, seed, epoch)
        self._others = self._rng.permutation(count)
        self._boxes = self._boxes_of(count, training.cutmix) if training.cutmix else None

    def __getitem__(self, step: int) -> tuple[dict[str, np.ndarray], np.ndarray]:
        chosen = self._chosen(step)
        down, across = self._offsets[:, chosen]
        inputs = {"index": chosen.astype("int32"), "rows": self._moves[0, down]}
        inputs["columns"] = self._moves[self._mirrored[chosen], across]
        targets = self._targets[chosen]
        if self._boxes is not None:
            others = self._others[chosen]
            inputs |= {"other": others.astype("int32")}
            inputs |= {"box_rows": self._boxes[0, chosen], "box_columns": self._boxes[1, chosen]}
            area = (inputs["box_rows"].mean(axis=1) * inputs["box_columns"].mean(axis=1))[:, None]
            targets = targets + area * (self._targets[others] - targets)
        return inputs, targets

    def _boxes_of(self, count: int, share: float) -> np.ndarray:
        """Return float32 (2, count, side): 1 in the rows and columns of each image's box, which the borders clip."""
        lengths = np.sqrt(self._rng.random(count)) * (self._rng.random(count) < share)
        centres = self._rng.random((2, count, 1))
        places = (np.arange(self._side) + 0.5) / self._side
        return (np.abs(places - centres) < lengths[:, None] / 2).astype("float32")


class CachedViews(Batches):
    """Activations float32 (B, height, width, channels) of one view of the images; the views take turns."""

    def __init__(self, views: np.ndarray, labels: np.ndarray, training: Training, seed: int, epoch: int):
        """`views`: float16 (views, N, height, width, channels), usually memory-mapped."""
        super().__init__(labels, training.batch_size, seed, epoch)
        self._view = views[epoch % len(views)]

    def __getitem__(self, step: int) -> tuple[np.ndarray, np.ndarray]:
        chosen = np.sort(self._chosen(step))  # the file is read from front to back
        return self._view[chosen].astype("float32"), self._targets[chosen]
