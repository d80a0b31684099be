"""What a training step is fed: batches of augmented images, or of a trunk's cached activations."""

import abc

import numpy as np

from pipeline.params import Training


def one_hot(labels: np.ndarray) -> np.ndarray:
    """Labels uint8 (N,) in 0 to 9 as float32 (N, 10)."""
    return np.eye(10, dtype="float32")[labels]


class Batches(abc.ABC):
    """One epoch of whole batches, the remainder left out. The same seed and epoch give the same batches."""

    def __init__(self, labels: np.ndarray, batch_size: int, seed: int, epoch: int):
        self._targets, self._size = one_hot(labels), min(batch_size, len(labels))
        self._rng = np.random.default_rng([seed, epoch])
        self._order = self._rng.permutation(len(labels))

    def __len__(self) -> int:
        return len(self._targets) // self._size

    def __getitem__(self, step: int) -> tuple[np.ndarray, np.ndarray]:
        chosen = self._order[step * self._size : (step + 1) * self._size]
        return self._inputs(chosen), self._targets[chosen]

    @abc.abstractmethod
    def _inputs(self, chosen: np.ndarray) -> np.ndarray:
        """What the network is fed for the chosen images."""


class AugmentedImages(Batches):
    """Images uint8 (B, side, side, 3), mirrored every other epoch and translated by up to `shift` pixels.

    Which half of the images is mirrored first is random; then they alternate (arXiv:2404.00498, section 3.6). Pixels
    moved in from outside are reflected ones. In the first epochs, a share `small_share`, the side is `small`, then 32.
    """

    def __init__(self, images: np.ndarray, labels: np.ndarray, training: Training, seed: int, epoch: int):
        super().__init__(labels, training.batch_size, seed, epoch)
        self._images, self._shift = images, training.shift
        self._side = training.small if epoch < int(training.small_share * training.epochs + 1e-9) else 32
        first = np.random.default_rng(seed).random(len(images)) < 0.5
        self._mirrored = first ^ bool(epoch % 2)
        self._offsets = self._rng.integers(0, 2 * self._shift + 1, (2, len(images)))

    def _inputs(self, chosen: np.ndarray) -> np.ndarray:
        images = self._images[chosen]
        mirrored = self._mirrored[chosen]
        images[mirrored] = images[mirrored, :, ::-1]
        shift = self._shift
        padded = np.pad(images, ((0, 0), (shift, shift), (shift, shift), (0, 0)), mode="reflect")
        windows = np.lib.stride_tricks.sliding_window_view(padded, (32, 32), axis=(1, 2))
        rows, columns = self._offsets[:, chosen]
        moved = np.moveaxis(windows[np.arange(len(chosen)), rows, columns], 1, -1)
        return np.ascontiguousarray(moved) if self._side == 32 else shrink(moved, self._side)


def shrink(images: np.ndarray, side: int) -> np.ndarray:
    """Images uint8 (N, 32, 32, 3) to (N, side, side, 3): each pixel is the mean of the area that it covers."""
    edges = np.linspace(0, 32, side + 1)
    overlap = np.minimum(edges[1:, None], np.arange(1, 33)) - np.maximum(edges[:-1, None], np.arange(32))
    weights = (np.maximum(overlap, 0) * side / 32).astype("float32")  # (side, 32), rows sum to 1
    rows = np.tensordot(images.astype("float32"), weights, ((1,), (1,)))  # N, columns, channels, rows
    both = np.tensordot(rows, weights, ((1,), (1,)))  # N, channels, rows, columns
    return np.rint(both.transpose(0, 2, 3, 1)).astype("uint8")


class CachedViews(Batches):
    """Activations float32 (B, height, width, channels), of one view of each image chosen at random each epoch."""

    def __init__(self, views: np.ndarray, labels: np.ndarray, training: Training, seed: int, epoch: int):
        """`views`: float16 (views, N, height, width, channels), usually memory-mapped."""
        super().__init__(labels, training.batch_size, seed, epoch)
        self._views = views
        self._view = self._rng.integers(0, len(views), len(labels))

    def _inputs(self, chosen: np.ndarray) -> np.ndarray:
        return self._views[self._view[chosen], chosen].astype("float32")
