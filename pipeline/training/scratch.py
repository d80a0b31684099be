"""Training from scratch, on augmented images."""

import keras

from pipeline import models
from pipeline.core import paths
from pipeline.core.schema import Params, Scratch
from pipeline.data import splits
from pipeline.layers.fast import accelerated
from pipeline.training import device
from pipeline.training.augmentation import augmented
from pipeline.training.batches import AugmentedImages, one_hot
from pipeline.training.fit import Task
from pipeline.training.optimizer import learning_rate_factors


def bfloat16_flags(name: str, settings: Scratch) -> set[str]:
    """Return the flags of every CPU that multiplies bfloat16."""
    return device.BFLOAT16


def task(name: str, settings: Scratch, params: Params) -> Task:
    """Return the training of an architecture's whole network on the train images."""
    images, labels = splits.load(paths.TRAIN)
    validation_images, validation_labels = splits.load(paths.VALIDATION)
    build = models.get(name).build
    network = build(images, **settings.network)
    network = network if device.gpus() else accelerated(network)

    def finish() -> keras.Model:
        keras.config.set_dtype_policy("float32")
        finished = build(images, **settings.network)
        finished.set_weights(network.get_weights())
        pictures = keras.Input((32, 32, 3), dtype="uint8", name="images")
        return keras.Model(pictures, finished(keras.ops.cast(pictures, "float32")), name=name)

    def batches(epoch: int) -> AugmentedImages:
        return AugmentedImages(labels, settings.training, 32, params.seed, epoch)

    trained = augmented(network, images, settings.training.cutmix > 0)
    factors = learning_rate_factors(network, bias_factor=settings.training.bias_factor)
    validation = (validation_images, one_hot(validation_labels))
    return Task(trained, network, batches, validation, factors, 0.0, finish)
