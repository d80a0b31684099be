"""Fine-tuning: all layers of a pretrained network, trained on augmented and enlarged images. Made for GPUs."""

import keras
import numpy as np

from pipeline.core import paths
from pipeline.core.schema import Finetune, Params
from pipeline.data import splits
from pipeline.evaluation.calibration import best_temperature
from pipeline.layers.folding import folded
from pipeline.training.augmentation import augmented
from pipeline.training.batches import AugmentedImages, one_hot, side_in
from pipeline.training.fit import Task, predict
from pipeline.training.optimizer import learning_rate_factors
from pipeline.training.transfer import head
from pipeline.training.trunk import enlarged, load_backbone

RIDGE = 1e-3  # of the mean variance of a feature
BATCH, REESTIMATED = 256, 20  # images a forward pass, batches that the normalisations' statistics are taken from


def bfloat16_flags(name: str, settings: Finetune) -> set[str]:
    """Return no flags: bfloat16 was not measured for this method."""
    return set()


def task(name: str, settings: Finetune, params: Params) -> Task:
    """Return the training of a whole pretrained architecture; its classifier starts as a fit to its features."""
    resolution = settings.network.resolution
    images, labels = splits.load(paths.TRAIN)
    validation_images, validation_labels = splits.load(paths.VALIDATION)

    dropout = settings.training.dropout
    whole = head(load_backbone(name, None), dropout)
    network = enlarged(whole, resolution)
    start_classifier(whole, side_in(0, settings.training, resolution), images, labels)

    def finish() -> keras.Model:
        reestimate(network, images, params.seed)
        keras.config.set_dtype_policy("float32")
        backbone = load_backbone(name, resolution)
        finished = head(backbone, dropout)
        finished.set_weights(whole.get_weights())  # and thus those of the backbone, whose layers it shares
        top = head(folded(backbone), dropout)
        top.get_layer("logits").set_weights(finished.get_layer("logits").get_weights())
        return enlarged(top, resolution)

    def batches(epoch: int) -> AugmentedImages:
        return AugmentedImages(labels, settings.training, resolution, params.seed, epoch)

    trained = augmented(whole, images, settings.training.cutmix > 0)
    factors = learning_rate_factors(network, first_layer=settings.training.first_layer)
    validation = (validation_images, one_hot(validation_labels))
    return Task(trained, network, batches, validation, factors, settings.training.ema, finish)


def start_classifier(whole: keras.Model, side: int, images: np.ndarray, labels: np.ndarray) -> None:
    """Set the classifier of `whole` to the ridge regression on its features of the images at `side` pixels.

    `images`: uint8 (N, 32, 32, 3). `labels`: (N,). The logits are scaled to have the lowest negative log-likelihood.
    """
    features = enlarged(keras.Model(whole.input, whole.get_layer("pool").output), side)
    seen = predict(features, images, BATCH).astype("float32")
    middle, targets = seen.mean(axis=0), one_hot(labels) - 0.1
    covariance = (seen - middle).T @ (seen - middle)
    np.fill_diagonal(covariance, covariance.diagonal() + RIDGE * covariance.trace() / len(covariance))
    kernel = np.linalg.solve(covariance, (seen - middle).T @ targets)
    kernel /= best_temperature((seen - middle) @ kernel, labels)
    whole.get_layer("logits").set_weights([kernel, -middle @ kernel])


def reestimate(network: keras.Model, images: np.ndarray, seed: int) -> None:
    """Compute the normalisations' statistics again on unaugmented training images (arXiv:1803.05407, 3.2).

    After training they are outdated: the weights have moved, or are replaced by their averages.
    """
    layers = [layer for layer in network._flatten_layers() if isinstance(layer, keras.layers.BatchNormalization)]
    dropouts = [layer for layer in network._flatten_layers() if isinstance(layer, keras.layers.Dropout)]
    usual, rates = [layer.momentum for layer in layers], [layer.rate for layer in dropouts]
    for layer in dropouts:
        layer.rate = 0.0
    chosen = np.random.default_rng(seed).permutation(len(images))[: BATCH * REESTIMATED]
    for step, start in enumerate(range(0, len(chosen), BATCH)):
        for layer in layers:
            layer.momentum = step / (step + 1)  # so that the moving average is the mean
        network(images[chosen[start : start + BATCH]], training=True)
    for layer, momentum in zip(layers, usual, strict=True):
        layer.momentum = momentum
    for layer, rate in zip(dropouts, rates, strict=True):
        layer.rate = rate
