"""Training from scratch, on augmented images."""

import keras

from pipeline import architectures, cifar10, paths
from pipeline.batches import AugmentedImages, one_hot
from pipeline.params import Params
from pipeline.training import Task


def task(name: str, params: Params) -> Task:
    """The whole network of an architecture, on the train images."""
    settings = params.models[name]
    images, labels = cifar10.load(paths.TRAIN)
    validation_images, validation_labels = cifar10.load(paths.VALIDATION)
    build = architectures.get(name).build
    trained = build(images, settings.network.widths)

    def finish() -> keras.Model:
        keras.config.set_dtype_policy("float32")
        network = build(images, settings.network.widths)
        network.set_weights(trained.get_weights())
        return network

    def batches(epoch: int) -> AugmentedImages:
        return AugmentedImages(images, labels, settings.training, params.seed, epoch)

    return Task(trained, batches, (validation_images, one_hot(validation_labels)), finish)
