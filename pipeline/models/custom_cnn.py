"""A small convolutional network trained from scratch.

Layout and initialisation follow airbench94 and 96 (Keller Jordan, 2024, https://arxiv.org/abs/2404.00498): a frozen
whitening convolution, three blocks of two or three 3x3 convolutions, Dirac initialisation, batch normalisation without
scale.
"""

from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
from pydantic import Field

from pipeline.core.schema import Section

if TYPE_CHECKING:
    import keras

PATCH = 2  # pixels, side of the whitened patches
LOGIT_SCALE = 1 / 9  # keeps early logits small, so that the high peak learning rate is stable
# Mean and deviation of the CIFAR-10 training pixels, red, green, blue, on the 0 to 255 scale.
PIXEL_MEAN = np.array([125.3, 123.0, 113.9])
PIXEL_STD = np.array([63.0, 62.1, 66.7])


class Network(Section):
    """What `network` in params.yaml holds."""

    widths: Annotated[list[Annotated[int, Field(ge=1, le=4096)]], Field(min_length=3, max_length=3)]
    depth: Literal[2, 3]
    activation: Literal["relu", "silu", "gelu"]


def build(images: np.ndarray, widths: list[int], depth: int, activation: str) -> "keras.Model":
    """Return the untrained network: float pictures (N, side, side, 3) in 0 to 255 in, float32 logits (N, 10) out.

    `images`: uint8 (N, 32, 32, 3), training images whose 2x2 patches the first convolution whitens.
    `widths`: channels of the three blocks. `depth`: convolutions of a block, 2, or 3 with a shortcut past the last one.
    """
    import keras

    inputs = keras.Input((None, None, 3), name="pixels")
    x = keras.layers.Rescaling((1 / PIXEL_STD).tolist(), (-PIXEL_MEAN / PIXEL_STD).tolist(), name="scale")(inputs)
    x = keras.layers.Conv2D(2 * PATCH * PATCH * 3, PATCH, use_bias=False, trainable=False, name="whiten")(x)
    x = keras.layers.Activation(activation, name="whiten_act")(x)
    for block, width in enumerate(widths, start=1):
        x = _convolution(x, width, f"block{block}a", pool=True)
        x = keras.layers.Activation(activation, name=f"block{block}a_act")(x)
        shortcut = x = keras.layers.Activation(activation, name=f"block{block}b_act")(
            _convolution(x, width, f"block{block}b")
        )
        if depth == 3:
            x = keras.layers.Add(name=f"block{block}_add")([_convolution(x, width, f"block{block}c"), shortcut])
            x = keras.layers.Activation(activation, name=f"block{block}c_act")(x)
    x = keras.layers.GlobalMaxPooling2D(name="pool")(x)
    x = keras.layers.Dense(10, use_bias=False, name="dense")(x)
    logits = keras.layers.Rescaling(LOGIT_SCALE, dtype="float32", name="logits")(x)
    model = keras.Model(inputs, logits, name="custom_cnn")
    model.get_layer("whiten").set_weights([whitening(images)])
    for layer in model.layers:
        if layer.name.endswith("_conv"):
            layer.set_weights([dirac(layer.get_weights()[0])])
    return model


def _convolution(x: "keras.KerasTensor", width: int, name: str, pool: bool = False) -> "keras.KerasTensor":
    import keras

    kaiming = keras.initializers.VarianceScaling(1 / 3, "fan_in", "uniform")
    convolution = keras.layers.Conv2D(
        width, 3, padding="same", use_bias=False, kernel_initializer=kaiming, name=f"{name}_conv"
    )
    x = convolution(x)
    if pool:
        x = keras.layers.MaxPooling2D(2, name=f"{name}_pool")(x)
    return keras.layers.BatchNormalization(momentum=0.8, epsilon=1e-5, scale=False, name=f"{name}_bn")(x)


def whitening(images: np.ndarray) -> np.ndarray:
    """Kernel float32 (2, 2, 3, 24): eigenvectors of the patches' covariance over their deviations, and negatives."""
    x = (images[:5000].astype("float32") - PIXEL_MEAN) / PIXEL_STD
    patches = np.lib.stride_tricks.sliding_window_view(x, (PATCH, PATCH), axis=(1, 2))  # N, 31, 31, 3, 2, 2
    patches = patches.transpose(0, 1, 2, 4, 5, 3).reshape(-1, PATCH * PATCH * 3)
    values, vectors = np.linalg.eigh(patches.T @ patches / len(patches))
    filters = (vectors / np.sqrt(values + 5e-4)).reshape(PATCH, PATCH, 3, -1)
    return np.concatenate([filters, -filters], axis=-1).astype("float32")


def dirac(kernel: np.ndarray) -> np.ndarray:
    """The kernel (3, 3, in, out) with its first filters passing their input channel through (arXiv:1706.00388)."""
    channels = range(min(kernel.shape[2:]))
    kernel[..., : len(channels)] = 0
    kernel[1, 1, channels, channels] = 1
    return kernel
