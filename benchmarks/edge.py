"""Every trained candidate as LiteRT and ONNX files, as stage `export` makes and judges them, beside Keras.

Batch size 1, test-time views included; latencies are medians. Accuracies are of the validation images that did not
calibrate int8, a drop is what the file loses against Keras on them, with its 95 % interval; all are fractions. Keras
uses what threads it likes. The files that are not within the limits of params.yaml have the reasons.
"""

import statistics
import time

import numpy as np

from benchmarks import common
from pipeline.core import candidates, errors, params, paths
from pipeline.data import splits
from pipeline.export import parity
from pipeline.formats import keras_model
from pipeline.stages import export


def main() -> list[dict]:
    """Write edge.csv, a row a candidate and variant; return the ratios."""
    checked = params.load()
    common.require(paths.VALIDATION, paths.MODELS, paths.ENSEMBLE, paths.METRICS)
    trained = list(candidates.scored())
    if not trained:
        raise errors.UserError("nothing was trained: `make repro` trains")
    rows, ratios = [], []
    for name in trained:
        milliseconds = keras_latency(name, checked.export.latency_images)
        for variant, judged, _ in export.variants(name, checked.export):
            figures = {figure: judged[figure] for figure in parity.FIGURES if figure != "images"}
            row = {"model": name, "format": variant.format, "precision": variant.precision} | figures
            row |= {"keras_latency_ms": milliseconds, "shipped": judged["shipped"]}
            rows.append(row | {"reasons": "; ".join(judged["reasons"])})
            print(f"{name}, {variant.format} {variant.precision}: {export.described(judged)}", flush=True)
            if variant.precision == "int8":
                figure = f"{name}: milliseconds an image, LiteRT int8 with one thread over Keras"
                ratios.append({"figure": figure, "first": judged["latency_ms_1_thread"], "second": milliseconds})
    common.write("edge", rows)
    return ratios


def keras_latency(name: str, timed: int) -> float:
    """Milliseconds in which Keras predicts an image, median over the first `timed` validation images."""
    model = keras_model.load(paths.candidate(name) / "model.keras")
    images = splits.images(paths.VALIDATION)
    seconds = [timed_prediction(model, image) for image in images[: parity.WARM_UP + timed]]
    return statistics.median(seconds[parity.WARM_UP :]) * 1000


def timed_prediction(model, image: np.ndarray) -> float:
    """Seconds."""
    began = time.perf_counter()
    model.predict_on_batch(image[None])
    return time.perf_counter() - began
