"""Images taken out of a data set that lies on the device, moved, mirrored, resized and mixed there.

What happens to an image is drawn on the host and told in a few small arrays, so that it is the same with any backend.
A translation, a mirror image and a change of size are each a linear map of the rows and of the columns: for every image
there is one matrix for each.
"""

import keras
import numpy as np
from keras import ops


class Augment(keras.layers.Layer):
    """Holds the images; maps a batch of drawn changes to float32 pictures (B, side, side, 3) in 0 to 255."""

    def __init__(self, images: np.ndarray):
        """`images`: uint8 (N, 32, 32, 3)."""
        super().__init__(dtype="float32", name="augment")
        self._images = keras.Variable(images, dtype="uint8", trainable=False, name="images")

    def call(self, drawn: dict[str, keras.KerasTensor]) -> keras.KerasTensor:
        """`drawn`: what `batches.AugmentedImages` yields as inputs."""
        pictures = self._moved(drawn["index"], drawn)
        if "other" in drawn:
            inside = ops.einsum("bs,bt->bst", drawn["box_rows"], drawn["box_columns"])[..., None]
            pictures += inside * (self._moved(drawn["other"], drawn) - pictures)
        return pictures

    def _moved(self, index: keras.KerasTensor, drawn: dict[str, keras.KerasTensor]) -> keras.KerasTensor:
        pictures = ops.cast(ops.take(self._images, index, axis=0), "float32")
        pictures = ops.einsum("bsr,brcd->bscd", drawn["rows"], pictures)
        return ops.einsum("btc,bscd->bstd", drawn["columns"], pictures)


def augmented(network: keras.Model, images: np.ndarray, cutmix: bool) -> keras.Model:
    """The network behind `Augment`, as it is trained: drawn changes to logits (N, 10)."""
    matrix = (None, 32)
    shapes = {"index": (), "rows": matrix, "columns": matrix}
    if cutmix:
        shapes |= {"other": (), "box_rows": (None,), "box_columns": (None,)}
    indices = ("index", "other")
    drawn = {
        name: keras.Input(shape, dtype="int32" if name in indices else "float32", name=name)
        for name, shape in shapes.items()
    }
    return keras.Model(drawn, network(Augment(images)(drawn)), name="augmented")


def draw(count: int, shift: int, seed: int, epoch: int) -> tuple[np.ndarray, np.ndarray]:
    """Which of `count` images are mirrored in an epoch, int (count,), 0 or 1, and how all are moved, int (2, count).

    Half of the images, chosen at random, are mirrored in the first epoch, the others in the second; then they alternate
    (arXiv:2404.00498, section 3.6). Moves down and across are from 0 to 2 `shift`: `sources` says what they mean.
    """
    first = np.random.default_rng(seed).random(count) < 0.5
    offsets = np.random.default_rng([seed, epoch, 1]).integers(0, 2 * shift + 1, (2, count))
    return (first ^ bool(epoch % 2)).astype(int), offsets


def sources(shift: int) -> np.ndarray:
    """Int (2, 2 shift + 1, 32): the pixel in a line of 32 that each place shows, as it is and mirrored, for each move.

    A line is moved by -shift to shift pixels. Pixels moved in from outside are reflected ones.
    """
    places = np.arange(32) + np.arange(-shift, shift + 1)[:, None]
    shown = 31 - np.abs(31 - np.abs(places))
    return np.stack([shown, 31 - shown])


def moves(side: int, shift: int) -> np.ndarray:
    """Float32 (2, 2 shift + 1, side, 32): `sources` as maps of a line of 32 pixels, which also resize it to `side`."""
    return np.matmul(resizing(side), np.eye(32, dtype="float32")[sources(shift)])


def resizing(side: int) -> np.ndarray:
    """Float32 (side, 32): the map of 32 pixels in a line to `side`; its rows sum to 1.

    A smaller side has the mean over the area that each pixel covers, a larger one is interpolated (bilinear, half-pixel
    centres, as `keras.ops.image.resize` does it).
    """
    if side <= 32:
        edges = np.linspace(0, 32, side + 1)
        overlap = np.minimum(edges[1:, None], np.arange(1, 33)) - np.maximum(edges[:-1, None], np.arange(32))
        return (np.maximum(overlap, 0) * side / 32).astype("float32")
    centres = np.clip((np.arange(side) + 0.5) * 32 / side - 0.5, 0, 31)
    return np.maximum(1 - np.abs(centres[:, None] - np.arange(32)), 0).astype("float32")
