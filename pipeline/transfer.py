"""Transfer learning: the layers above the cut and a new classifier, trained on the trunk's cached activations."""

import keras
import numpy as np

from pipeline import cifar10, device, paths
from pipeline.batches import CachedViews, one_hot
from pipeline.depthwise import accelerated
from pipeline.folding import folded
from pipeline.params import Params
from pipeline.training import Task
from pipeline.trunk import load_backbone, split, trunk


def task(name: str, params: Params) -> Task:
    """The trainable part of a pretrained architecture, on the activations that stage `trunk` cached."""
    settings = params.models[name]
    cached = paths.TRUNKS / name
    _, labels = cifar10.load(paths.TRAIN)
    _, validation_labels = cifar10.load(paths.VALIDATION)
    views = np.load(cached / "train.npy", mmap_mode="r")
    validation = np.load(cached / "validation.npy", mmap_mode="r")[0].astype("float32")

    def parts() -> tuple[keras.Model, keras.Model]:
        return split(load_backbone(name, params), settings.trunk.cut)

    _, upper = parts()
    trained = head(upper if device.gpu() else accelerated(upper), settings.training.dropout)

    def finish() -> keras.Model:
        # Built anew, since the trained one would take its optimizer along into the saved model.
        keras.config.set_dtype_policy("float32")
        lower, upper = parts()
        plain = head(upper, settings.training.dropout)
        plain.set_weights(trained.get_weights())  # and thus those of `upper`, whose layers it shares
        top = head(folded(upper), settings.training.dropout)
        top.get_layer("logits").set_weights(plain.get_layer("logits").get_weights())
        images = keras.Input((32, 32, 3), dtype="uint8", name="images")
        return keras.Model(images, top(trunk(lower)(images)), name=name)

    def batches(epoch: int) -> CachedViews:
        return CachedViews(views, labels, settings.training, params.seed, epoch)

    return Task(trained, batches, (validation, one_hot(validation_labels)), finish)


def head(upper: keras.Model, dropout: float) -> keras.Model:
    """Activations to float32 logits (N, 10). Batch normalisation keeps its ImageNet statistics, scale and bias."""
    for layer in upper.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.trainable = False
    activations = keras.Input(upper.input_shape[1:], name="activations")
    x = keras.layers.GlobalAveragePooling2D(name="pool")(upper(activations))
    x = keras.layers.Dropout(dropout, name="dropout")(x)
    logits = keras.layers.Dense(10, dtype="float32", name="logits")(x)
    return keras.Model(activations, logits, name="head")
