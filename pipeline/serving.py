"""The model that is saved and served: stock Keras layers only, uint8 images in, calibrated probabilities out."""

import keras
from keras import ops


def averaged(network: keras.Model, views: int) -> keras.Model:
    """Wrap a network so that it averages its logits over `views` of an image.

    `network`: uint8 images (N, 32, 32, 3) to logits (N, 10). 1 view is the image; 2 add its mirror image; 6 add both
    of them moved by one pixel up and left, and down and right, the moved ones weighing half (arXiv:2404.00498,
    section 3.5).
    """
    images = keras.Input((32, 32, 3), dtype="uint8", name="images")
    logits = _mirrored(network, images) if views > 1 else network(images)
    if views == 6:
        padded = ops.pad(images, [[0, 0], [1, 1], [1, 1], [0, 0]], mode="reflect")
        up_left = keras.layers.Cropping2D(((0, 2), (0, 2)), dtype="uint8", name="up_left")(padded)
        down_right = keras.layers.Cropping2D(((2, 0), (2, 0)), dtype="uint8", name="down_right")(padded)
        moved = keras.layers.Average(name="moved")([_mirrored(network, up_left), _mirrored(network, down_right)])
        logits = keras.layers.Average(name="views")([logits, moved])
    return keras.Model(images, logits, name=f"{network.name}_views")


def calibrated(network: keras.Model, temperature: float, name: str) -> keras.Model:
    """Logits to probabilities: softmax of the logits over a temperature (arXiv:1706.04599)."""
    images = keras.Input((32, 32, 3), dtype="uint8", name="images")
    cooled = keras.layers.Rescaling(1 / temperature, name="temperature")(network(images))
    probabilities = keras.layers.Softmax(name="probabilities")(cooled)
    return keras.Model(images, probabilities, name=name)


def _mirrored(network: keras.Model, images):
    return keras.layers.Average()([network(images), network(ops.flip(images, axis=2))])


def ensemble(members: list[keras.Model], weights: list[float], temperature: float) -> keras.Model:
    """One model whose probabilities are the weighted mean of its members', sharpened by `temperature`.

    `weights` are positive and sum to 1.
    """
    images = keras.Input((32, 32, 3), dtype="uint8", name="images")
    parts = [
        keras.layers.Rescaling(weight, name=f"weight_{member.name}")(member(images))
        for member, weight in zip(members, weights, strict=True)
    ]
    mean = keras.layers.Add(name="mean")(parts) if len(parts) > 1 else parts[0]
    # log(p + tiny) / T, then softmax: p ** (1 / T), normalised.
    logarithm = ops.log(mean + 1e-12)
    probabilities = keras.layers.Softmax(name="probabilities")(ops.divide(logarithm, temperature))
    return keras.Model(images, probabilities, name="ensemble")
