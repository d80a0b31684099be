"""The frozen trunk of a pretrained backbone: where it is cut, and its activations, computed once."""

from pathlib import Path

import keras
import numpy as np

from pipeline import architectures, manifest
from pipeline.console import Progress
from pipeline.errors import UserError
from pipeline.files import replacing
from pipeline.folding import folded
from pipeline.params import Params

BATCH = 250  # images a forward pass


def load_backbone(name: str, params: Params) -> keras.Model:
    """The architecture's backbone with its ImageNet weights, at the resolution of params."""
    return architectures.get(name).backbone(params.models[name].trunk.resolution, manifest.weights_path(name))


def split(backbone: keras.Model, cut: str) -> tuple[keras.Model, keras.Model]:
    """Return the layers up to and including `cut`, and those after it.

    Raises UserError if there is no such layer, or if anything else connects the two parts.
    """
    try:
        activation = backbone.get_layer(cut).output
        return keras.Model(backbone.input, activation), keras.Model(activation, backbone.output)
    except ValueError as error:
        raise UserError(f"trunk.cut: {backbone.name} cannot be cut at {cut!r}: {error}") from None


def trunk(lower: keras.Model) -> keras.Model:
    """Uint8 images (N, 32, 32, 3), enlarged bilinearly to the backbone's resolution, to activations.

    `lower` is run as it is in inference, with its batch normalisation folded in.
    """
    images = keras.Input((32, 32, 3), dtype="uint8", name="images")
    resolution = lower.input_shape[1]
    # Not the layer Resizing: in Keras 3.15 it puts what follows into training mode when the model is called directly.
    pixels = keras.ops.image.resize(keras.ops.cast(images, "float32"), (resolution, resolution), "bilinear")
    return keras.Model(images, folded(lower)(pixels), name="trunk")


def cache(trunk: keras.Model, views: list[np.ndarray], path: Path) -> None:
    """Write the trunk's activations of the views, float16 (views, N, height, width, channels), as a .npy file.

    `views`: uint8 (N, 32, 32, 3) each. The file can be memory-mapped.
    """
    shape = (len(views), len(views[0]), *trunk.output_shape[1:])
    with replacing(path) as temporary, Progress(path.parent.name, shape[0] * shape[1], "image") as progress:
        stored = np.lib.format.open_memmap(temporary, "w+", "float16", shape)
        for view, images in enumerate(views):
            for start in range(0, shape[1], BATCH):
                batch = images[start : start + BATCH]
                stored[view, start : start + BATCH] = trunk.predict_on_batch(batch)
                progress.update(len(batch))
        stored.flush()
