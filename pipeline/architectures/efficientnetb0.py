"""EfficientNetB0 (Tan and Le, 2019, https://arxiv.org/abs/1905.11946), from keras.applications."""

from pathlib import Path

import keras


def backbone(resolution: int, weights: Path | None) -> keras.Model:
    """Return the backbone, which scales 0 to 255 itself; `weights` is Keras' .h5 release without the classifier."""
    inputs = keras.Input((resolution, resolution, 3), name="pixels")
    return keras.applications.EfficientNetB0(
        input_tensor=inputs, include_top=False, weights=str(weights) if weights else None
    )
