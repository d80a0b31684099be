"""The frozen trunk of a pretrained backbone: where it is cut, and its activations, computed once."""

from collections.abc import Iterable
from pathlib import Path

import keras
import numpy as np

from pipeline import models
from pipeline.core.errors import UserError
from pipeline.core.files import checksum, read_json, replacing
from pipeline.core.progress import Progress
from pipeline.data import manifest
from pipeline.formats import hdf5
from pipeline.layers.folding import folded

BATCH = 250  # images a forward pass


def load_backbone(name: str, resolution: int | None) -> keras.Model:
    """Return the architecture's backbone with its ImageNet weights; with None, for pictures of any size.

    Raises UserError if the weights are not this network's.
    """
    path = manifest.weights_path(name)
    try:
        if path.suffix == ".h5":
            hdf5.arrays(path)
        return models.get(name).backbone(resolution, path)
    except (AttributeError, KeyError, TypeError, ValueError) as error:  # Keras': what in the file is not this network's
        raise UserError(f"{path} does not fit {name}: {error}"[:400]) from None


def split(backbone: keras.Model, cut: str) -> tuple[keras.Model, keras.Model]:
    """Return the layers up to and including `cut`, and those after it.

    Raises UserError if there is no such layer, or if anything else connects the two parts.
    """
    try:
        activation = backbone.get_layer(cut).output
        return keras.Model(backbone.input, activation), keras.Model(activation, backbone.output)
    except ValueError as error:
        raise UserError(f"network.cut: {backbone.name} cannot be cut at {cut!r}: {error}") from None


def trunk(lower: keras.Model) -> keras.Model:
    """Return a network from uint8 images (N, 32, 32, 3) to activations.

    `lower` runs in inference mode, with its batch normalisation folded into the convolutions.
    """
    return enlarged(folded(lower), lower.input_shape[1])


def enlarged(network: keras.Model, resolution: int) -> keras.Model:
    """Return a network of uint8 images (N, 32, 32, 3), enlarged bilinearly to `resolution` pixels, for `network`."""
    images = keras.Input((32, 32, 3), dtype="uint8", name="images")
    # Not the layer Resizing: in Keras 3.15 it puts what follows into training mode when the model is called directly.
    pixels = keras.ops.image.resize(keras.ops.cast(images, "float32"), (resolution, resolution), "bilinear")
    return keras.Model(images, network(pixels), name="enlarged")


def cache(trunk: keras.Model, views: Iterable[np.ndarray], shape: tuple[int, int], path: Path) -> None:
    """Write the trunk's activations of the views, float16 (views, N, height, width, channels), as a .npy file.

    `views`: uint8 (N, 32, 32, 3) each. `shape`: how many views, and N. The file can be memory-mapped.
    """
    with replacing(path) as temporary, Progress(path.parent.name, shape[0] * shape[1], "image") as progress:
        stored = np.lib.format.open_memmap(temporary, "w+", "float16", (*shape, *trunk.output_shape[1:]))
        for view, images in enumerate(views):
            for start in range(0, shape[1], BATCH):
                batch = images[start : start + BATCH]
                stored[view, start : start + BATCH] = trunk.predict_on_batch(batch)
                progress.update(len(batch))
        stored.flush()


def cached(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return both splits' activations, memory-mapped: train, validation, float16 (views, N, height, width, channels).

    Raises UserError if a file is missing, or is not whole as stage `trunk` wrote it.
    """
    record = read_json(folder / "trunk.json")
    if not record["cached"]:
        raise UserError(f"{folder} has no activations: run `dvc repro trunk@{folder.name}`")
    for name, digest in record["sha256"].items():
        if not (folder / name).is_file() or checksum(folder / name) != digest:
            raise UserError(f"{folder / name} is missing or damaged; run `dvc repro --force trunk@{folder.name}`")
    return np.load(folder / "train.npy", mmap_mode="r"), np.load(folder / "validation.npy", mmap_mode="r")
