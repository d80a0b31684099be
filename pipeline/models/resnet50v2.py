"""ResNet50V2 (He et al., 2016, https://arxiv.org/abs/1603.05027), from keras.applications."""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import keras


def backbone(resolution: int | None, weights: Path | None) -> "keras.Model":
    """Return the backbone; `weights` is Keras' .h5 release without the classifier."""
    import keras

    inputs = keras.Input((resolution, resolution, 3), name="pixels")
    scaled = keras.layers.Rescaling(1 / 127.5, offset=-1, name="scale")(inputs)
    return keras.applications.ResNet50V2(
        input_tensor=scaled, include_top=False, weights=str(weights) if weights else None
    )
