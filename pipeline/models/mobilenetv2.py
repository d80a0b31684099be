"""MobileNetV2, width 1.0 (Sandler et al., 2018, https://arxiv.org/abs/1801.04381), from keras.applications."""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import keras


def backbone(resolution: int | None, weights: Path | None) -> "keras.Model":
    """Return the backbone; `weights` is a .weights.h5 file without the classifier or Keras' .h5 release with it."""
    import keras

    inputs = keras.Input((resolution, resolution, 3), name="pixels")
    scaled = keras.layers.Rescaling(1 / 127.5, offset=-1, name="scale")(inputs)
    bare = weights is not None and weights.name.endswith(".weights.h5")
    model = keras.applications.MobileNetV2(
        input_tensor=scaled, include_top=False, weights=str(weights) if bare else None
    )
    if weights is not None and not bare:
        # Keras publishes no checksum of its files without the classifier; of this one the SHA-256 is known.
        whole = keras.applications.MobileNetV2(weights=str(weights))
        for layer in model.layers:
            if layer.weights:
                layer.set_weights(whole.get_layer(layer.name).get_weights())
    return model
