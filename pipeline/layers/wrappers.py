"""The model that is saved and served: stock Keras only, uint8 images in, calibrated probabilities out."""

import keras
from keras import ops


def averaged(network: keras.Model, views: int) -> keras.Model:
    """Wrap a network so that it averages its logits over `views` of an image.

    `network`: uint8 images (N, 32, 32, 3) to logits (N, 10). 1 view is the image; 2 add its mirror image; 6 add both
    of them moved by one pixel up and left, and down and right, the moved ones weighing half (arXiv:2404.00498,
    section 3.5). The network runs once, over all views as one batch.
    """
    images = keras.Input((32, 32, 3), dtype="uint8", name="images")
    seen, weights = [images], [1.0]
    if views == 6:
        padded = ops.pad(images, [[0, 0], [1, 1], [1, 1], [0, 0]], mode="reflect")
        for name, crop in (("up_left", ((0, 2), (0, 2))), ("down_right", ((2, 0), (2, 0)))):
            seen.append(keras.layers.Cropping2D(crop, dtype="uint8", name=name)(padded))
        weights = [0.5, 0.25, 0.25]
    if views > 1:
        seen += [ops.flip(view, axis=2) for view in seen]
        weights = [weight / 2 for weight in weights * 2]
    if views == 1:
        return keras.Model(images, network(images), name=f"{network.name}_views")
    logits = ops.split(network(ops.concatenate(seen, axis=0)), len(seen), axis=0)
    mean = keras.layers.Add(name="mean")([part * weight for part, weight in zip(logits, weights, strict=True)])
    return keras.Model(images, mean, name=f"{network.name}_views")


def calibrated(network: keras.Model, temperature: float, name: str) -> keras.Model:
    """Return the network with probabilities instead of logits: their softmax at a temperature (arXiv:1706.04599)."""
    images = keras.Input((32, 32, 3), dtype="uint8", name="images")
    cooled = keras.layers.Rescaling(1 / temperature, name="temperature")(network(images))
    probabilities = keras.layers.Softmax(name="probabilities")(cooled)
    return keras.Model(images, probabilities, name=name)


def ensemble(members: list[keras.Model], weights: list[float], temperature: float) -> keras.Model:
    """Return one model whose probabilities are the weighted mean of its members', sharpened by `temperature`.

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
