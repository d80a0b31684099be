"""GFLOP/s of a trunk's forward passes and of training over the machine's peak: how far a stage is from the limit.

A multiplication and an addition are two operations; a training step counts three times the forward pass. Only
convolutions and dense layers count, so that what normalisation, activation and pooling take shows as a lower share.
"""

import time

import keras
import numpy as np

from benchmarks import common
from pipeline.core import params, paths
from pipeline.core.schema import Training
from pipeline.data import splits
from pipeline.training import device, methods
from pipeline.training import trunk as trunks
from pipeline.training.optimizer import learning_rate_factors, make_optimizer

STEPS = 8  # timed, after 2 that are not
PRETRAINED = ("mobilenetv2", "efficientnet_lite0")


def main() -> list[dict]:
    """Write throughput.csv, a row a stage; return no ratio."""
    checked = params.load()
    for name in PRETRAINED:
        common.cached(name, checked)
    rows = []
    folders = [folder / name for name in PRETRAINED for folder in (paths.WEIGHTS, paths.TRUNKS)]
    with common.workspace(paths.TRAIN, paths.VALIDATION, *folders):
        used = methods.prepare("custom_cnn", checked)
        task, settings = methods.task("custom_cnn", checked), checked.models["custom_cnn"].training
        batches = task.batches(settings.epochs - 1)  # the last epoch's: the first have smaller pictures
        seconds = timed_training(task.trained, settings, *batches[0])
        network = keras.models.clone_model(task.network, input_tensors=keras.Input((32, 32, 3)))
        work = 3 * operations(network) * settings.batch_size
        rows.append(row("train@custom_cnn", used.precision, work, settings.batch_size, seconds))
        for name in PRETRAINED:
            rows += pretrained(name, checked)
    common.write("throughput", rows)
    return []


def pretrained(name: str, checked: params.Params) -> list[dict]:
    settings = checked.models[name]
    resolution, batch = settings.network.resolution, settings.training.batch_size
    images, _ = splits.load(paths.TRAIN)
    used = device.prepare(checked.compute, device.TILES, checked.seed)
    lower, _ = trunks.split(trunks.load_backbone(name, resolution), settings.network.cut)
    frozen = trunks.trunk(lower)
    seconds = timed(lambda: frozen.predict_on_batch(images[: trunks.BATCH]))
    rows = [row(f"trunk@{name}", used.precision, operations(lower) * trunks.BATCH, trunks.BATCH, seconds)]

    used = methods.prepare(name, checked)
    task = methods.task(name, checked)
    seconds = timed_training(task.trained, settings.training, *task.batches(0)[0])
    return [*rows, row(f"train@{name}", used.precision, 3 * operations(task.trained) * batch, batch, seconds)]


def row(stage: str, precision: str, work: float, images: int, seconds: float) -> dict:
    speed, limit = work / seconds / 1e9, common.peak("bfloat16" if "bfloat16" in precision else "float32")
    figures = {"images_per_second": images / seconds, "gflops": speed, "peak_gflops": limit, "share": speed / limit}
    return {"stage": stage, "precision": precision} | figures


def timed_training(network: keras.Model, settings: Training, inputs, targets: np.ndarray) -> float:
    factors = learning_rate_factors(network, settings)
    network.compile(make_optimizer(settings, 1000, factors), keras.losses.CategoricalCrossentropy(True))
    return timed(lambda: network.train_on_batch(inputs, targets))


def timed(step) -> float:
    """Seconds of a step, mean of STEPS."""
    for _ in range(2):
        step()
    began = time.perf_counter()
    for _ in range(STEPS):
        step()
    return (time.perf_counter() - began) / STEPS


def operations(network: keras.Model) -> float:
    """Multiplications and additions of one image's forward pass. All sizes must be known."""
    total = 0
    for layer in network.layers:
        if isinstance(layer, keras.Model):
            total += operations(layer)
        elif isinstance(layer, keras.layers.DepthwiseConv2D):
            total += 2 * np.prod(layer.output.shape[1:]) * np.prod(layer.kernel_size)
        elif isinstance(layer, (keras.layers.Conv2D, keras.layers.Dense)):
            total += 2 * np.prod(layer.output.shape[1:]) * np.prod(layer.kernel.shape[:-1])
    return float(total)
