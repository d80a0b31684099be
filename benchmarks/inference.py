"""Images a second that the registered champion predicts, in Keras and in LiteRT, its test-time views included."""

import functools
import time

import mlflow
import numpy as np
from mlflow.exceptions import MlflowException

from benchmarks import common
from pipeline.core import params, paths
from pipeline.core.errors import UserError
from pipeline.data import splits
from pipeline.export import convert, runtimes
from pipeline.registry import promotion
from pipeline.tracking import store

BATCHES = (1, 32, 256)
SECONDS = 4.0  # that each is run, at least


def main() -> list[dict]:
    """Write inference.csv, a row a runtime and batch size; return the ratios."""
    checked = params.load()
    store.connect(checked)
    uri = f"models:/{checked.registry.model}@{promotion.CHAMPION}"
    try:
        model = mlflow.tensorflow.load_model(uri)
    except MlflowException as error:
        raise UserError(f"{uri} cannot be loaded: `make repro` registers it ({error.message:.80})") from None
    images, _ = splits.load(paths.VALIDATION)
    rows, ratios = [], []
    for batch in BATCHES:
        pictures = images[:batch]
        runtimes = {"keras": functools.partial(model.predict_on_batch, pictures), "litert": litert(model, pictures)}
        difference = float(np.abs(runtimes["keras"]() - runtimes["litert"]()).max())
        if difference > 1e-3:
            raise RuntimeError(f"LiteRT's probabilities differ from Keras' by {difference}")
        speeds = {runtime: batch / timed(predict) for runtime, predict in runtimes.items()}
        rows += [{"runtime": name, "batch": batch, "images_per_second": speed} for name, speed in speeds.items()]
        figure = f"seconds an image at batch size {batch}, LiteRT over Keras"
        ratios.append({"figure": figure, "first": 1 / speeds["litert"], "second": 1 / speeds["keras"]})
    common.write("inference", rows)
    return ratios


def litert(model, pictures: np.ndarray):
    """A function that predicts the pictures in LiteRT, float32, on all cores."""
    content = convert.litert(model, "float32", pictures[:0], len(pictures))
    return functools.partial(runtimes.litert(content, common.cores()), pictures)


def timed(predict) -> float:
    """Seconds a call, over at least SECONDS, after two calls that are not counted."""
    predict(), predict()
    began, calls = time.perf_counter(), 0
    while time.perf_counter() - began < SECONDS:
        predict()
        calls += 1
    return (time.perf_counter() - began) / calls
