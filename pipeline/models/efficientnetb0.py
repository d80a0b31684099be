"""EfficientNetB0 (Tan and Le, 2019, https://arxiv.org/abs/1905.11946), from keras.applications."""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import keras


def backbone(resolution: int | None, weights: Path | None) -> "keras.Model":
    """Return the backbone, which scales 0 to 255 itself; `weights` is Keras' .h5 release without the classifier."""
    import keras

    inputs = keras.Input((resolution, resolution, 3), name="pixels")
    model = keras.applications.EfficientNetB0(
        input_tensor=inputs, include_top=False, weights=str(weights) if weights else None
    )
    if weights:
        # The release has the pixels' deviations where their variances should be. Keras makes up for that only where it
        # downloads the file itself.
        scale = next(layer for layer in model.layers if isinstance(layer, keras.layers.Normalization))
        mean, deviation, count = scale.get_weights()
        scale.set_weights([mean, deviation**2, count])
        scale.finalize_state()
    return model
