"""How an architecture is trained: the method is chosen here, and what all methods share is done here.

A method is a module with `task(name, settings, params)`, the work for `fit`, and `bfloat16_flags(name, settings)`, the
flags of the CPUs on which bfloat16 was measured faster for it.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
import pandas as pd

from pipeline.core import paths
from pipeline.core.progress import verbosity
from pipeline.core.schema import Params
from pipeline.data import splits
from pipeline.evaluation import calibration
from pipeline.layers import wrappers
from pipeline.training import device, finetune, fit, scratch, transfer


@dataclass(frozen=True)
class Trained:
    """The result of training an architecture."""

    model: keras.Model  # to be served: uint8 images (N, 32, 32, 3) to calibrated probabilities (N, 10)
    validation: np.ndarray  # its probabilities for the validation images, float32 (N, 10)
    temperature: float
    history: pd.DataFrame  # as `fit.fit` returns it
    seconds: float  # wall-clock, of loading and training
    gpus: int  # that shared each batch


METHODS = {"scratch": scratch, "transfer": transfer, "finetune": finetune}


def prepare(name: str, params: Params) -> device.Device:
    """Set up Keras and the device for training an architecture."""
    settings = params.models[name]
    flags = METHODS[settings.method].bfloat16_flags(name, settings)
    return device.prepare(params.compute, flags, params.seed)


def task(name: str, params: Params) -> fit.Task:
    """Return the training of an architecture."""
    model = params.models[name]
    return METHODS[model.method].task(name, model, params)


def train(
    name: str, params: Params, used: device.Device, on_epoch: Callable[[dict], None], state: Path | None = None
) -> Trained:
    """Train an architecture; validation chooses epoch and temperature. `on_epoch` and `state`: see `fit.fit`."""
    settings = params.models[name].training
    began = time.perf_counter()
    with device.spread(used, settings.batch_size) as shared:
        made = task(name, params)
        loading = time.perf_counter() - began
        history = fit.fit(made, settings, shared, on_epoch, state)
    seconds = loading + float(history["seconds"].sum())  # those of epochs before an interruption included

    images, labels = splits.load(paths.VALIDATION)
    network = wrappers.averaged(made.finish(), settings.views)
    logits = network.predict(images, settings.batch_size, verbosity())
    temperature = calibration.best_temperature(logits, labels)
    model = wrappers.calibrated(network, temperature, name)
    return Trained(model, calibration.probabilities(logits, temperature), temperature, history, seconds, shared.gpus)
