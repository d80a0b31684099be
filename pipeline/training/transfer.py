"""Transfer learning: the layers above the cut and a new classifier, trained on the trunk's cached activations."""

import keras

from pipeline import models
from pipeline.core import paths
from pipeline.core.schema import Params, Transfer
from pipeline.data import splits
from pipeline.layers.fast import accelerated, large_kernel
from pipeline.layers.folding import folded
from pipeline.training import device
from pipeline.training.batches import CachedViews, one_hot
from pipeline.training.fit import Task
from pipeline.training.trunk import cached, load_backbone, split, trunk


def bfloat16_flags(name: str, settings: Transfer) -> set[str]:
    """Return no flags for 3x3 depthwise convolutions; 5x5 ones train as matrix products, which gain from tiles."""
    _, upper = split(models.get(name).backbone(settings.network.resolution, None), settings.network.cut)
    return device.TILES if any(large_kernel(layer) for layer in upper.layers) else set()


def task(name: str, settings: Transfer, params: Params) -> Task:
    """Return the training of a pretrained architecture's upper part on the activations that stage `trunk` cached."""
    _, labels = splits.load(paths.TRAIN)
    _, validation_labels = splits.load(paths.VALIDATION)
    views, validation = cached(paths.TRUNKS / name)

    def parts() -> tuple[keras.Model, keras.Model]:
        lower, upper = split(load_backbone(name, settings.network.resolution), settings.network.cut)
        return lower, settled(upper)

    _, upper = parts()
    trained = head(upper if device.gpus() else accelerated(upper), settings.training.dropout)

    def finish() -> keras.Model:
        # Built anew: the trained one would put its optimizer into the saved model.
        keras.config.set_dtype_policy("float32")
        lower, upper = parts()
        top = head(upper, settings.training.dropout)
        top.set_weights(trained.get_weights())
        images = keras.Input((32, 32, 3), dtype="uint8", name="images")
        return keras.Model(images, top(trunk(lower)(images)), name=name)

    def batches(epoch: int) -> CachedViews:
        return CachedViews(views, labels, settings.training, params.seed, epoch)

    targets = one_hot(validation_labels)
    return Task(trained, trained, batches, (validation[0].astype("float32"), targets), {}, 0.0, finish)


def settled(upper: keras.Model) -> keras.Model:
    """Return a copy whose normalisation keeps its ImageNet statistics: folded into a convolution, elsewhere frozen."""
    copy = folded(upper)
    for layer in copy.layers:
        layer.trainable = not isinstance(layer, keras.layers.BatchNormalization)
    return copy


def head(upper: keras.Model, dropout: float) -> keras.Model:
    """Return a network from activations to float32 logits (N, 10)."""
    activations = keras.Input(upper.input_shape[1:], name="activations")
    x = keras.layers.GlobalAveragePooling2D(name="pool")(upper(activations))
    x = keras.layers.Dropout(dropout, name="dropout")(x)
    logits = keras.layers.Dense(10, dtype="float32", name="logits")(x)
    return keras.Model(activations, logits, name="head")
