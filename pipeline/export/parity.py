"""The parity gate: what an exported file does against Keras on the same images, and whether it may be shipped."""

import time
from pathlib import Path

import numpy as np

from pipeline.core.schema import Export, Limits
from pipeline.evaluation import metrics
from pipeline.export import runtimes

LATENCIES = {1: "latency_ms_1_thread", 2: "latency_ms_2_threads"}  # by the number of threads
ACCURACIES = ("agreement", "accuracy", "keras_accuracy", "accuracy_drop", "drop_low", "drop_high")
FIGURES = ("size_mb", *ACCURACIES, *LATENCIES.values(), "images")
WARM_UP = 10  # images before those that are timed
CONFIDENCE, RESAMPLES = 0.95, 10_000  # of the interval, by the paired bootstrap
SUM = 0.05  # most that an image's probabilities may sum to more or less than 1: int8 rounds each to 1/256


class Refused(Exception):
    """What a file gives is nothing to be compared; the message says why."""


def judge(path: Path, images: np.ndarray, expected: np.ndarray, labels: np.ndarray, export: Export) -> dict:
    """Measure a file and compare what was measured with `export.limits`.

    `images`: uint8 (N, 32, 32, 3) that did not calibrate the file, predicted one by one; `expected`: Keras'
    probabilities of them, float32 (N, 10); `labels`: (N,). Returns FIGURES, None where there are none (size in
    10^6 bytes, the others as `measure` says), `shipped`, and `reasons` why it is not.
    """
    size = {"size_mb": path.stat().st_size / 1e6}
    try:
        figures = size | measure(path, images, expected, labels, export.latency_images)
    except Refused as error:
        return unmeasured(str(error)) | size
    reasons = outside(figures, export.limits)
    return figures | {"shipped": not reasons, "reasons": reasons}


def unmeasured(reason: str) -> dict:
    """What `judge` returns of what cannot be measured."""
    return dict.fromkeys(FIGURES) | {"shipped": False, "reasons": [reason]}


def measure(path: Path, images: np.ndarray, expected: np.ndarray, labels: np.ndarray, timed: int) -> dict[str, float]:
    """FIGURES of a file but its size; see `judge`. Raises Refused if it gives no probabilities.

    Accuracies, agreement and drop are fractions; `drop_low`, `drop_high` are the drop's 95 % interval; latencies are
    medians over the first `timed` images.
    """
    latencies = {}
    try:
        for threads, name in LATENCIES.items():
            predict = runtimes.load(path, threads)
            latencies[name] = _latency(predict, images, timed)
        answers = [predict(images[index : index + 1]) for index in range(len(images))]
    except Exception as error:  # the runtimes have no class of their own for what they do not take
        raise Refused(f"the runtime refuses it: {' '.join(str(error).split())[:200]}") from error
    found = _probabilities(answers, expected.shape[1])
    tested = metrics.mcnemar(found, expected, labels)
    better, worse, count = tested["better"], tested["worse"], len(labels)
    low, high = metrics.interval(better, worse, count, CONFIDENCE, RESAMPLES, seed=0)
    return {
        "agreement": float((found.argmax(axis=1) == expected.argmax(axis=1)).mean()),
        "accuracy": float((found.argmax(axis=1) == labels).mean()),
        "keras_accuracy": float((expected.argmax(axis=1) == labels).mean()),
        "accuracy_drop": (worse - better) / count,
        "drop_low": 0.0 - high,
        "drop_high": 0.0 - low,
        **latencies,
        "images": count,
    }


def outside(figures: dict[str, float], limits: Limits) -> list[str]:
    """The limits that the figures are not within, a line each; NaN is within none."""
    most = {"accuracy_drop": limits.accuracy_drop, "size_mb": limits.size_mb, "latency_ms_1_thread": limits.latency_ms}
    failed = {} if figures["agreement"] >= limits.agreement else {"agreement": limits.agreement}
    failed |= {name: limit for name, limit in most.items() if limit is not None and not figures[name] <= limit}
    return [f"{name} is {figures[name]:.4g}, limit {limit:.4g}" for name, limit in failed.items()]


def _latency(predict: runtimes.Predict, images: np.ndarray, timed: int) -> float:
    """Milliseconds an image."""
    for image in images[:WARM_UP]:
        predict(image[None])
    seconds = []
    for image in images[:timed]:
        began = time.perf_counter()
        predict(image[None])
        seconds.append(time.perf_counter() - began)
    return float(np.median(seconds)) * 1000


def _probabilities(found: list[np.ndarray], classes: int) -> np.ndarray:
    """The outputs for all images, float32 (N, classes). Raises Refused unless they are probabilities."""
    for output in found:
        if output.shape != (1, classes) or output.dtype != np.float32:
            raise Refused(f"it gives {output.dtype} {output.shape} for an image, not float32 (1, {classes})")
    together = np.concatenate(found)
    wrong = int((~np.isfinite(together)).any(axis=1).sum())
    if wrong:
        raise Refused(f"it gives NaN or infinity for {wrong} of {len(together)} images")
    if together.min() < 0 or np.abs(together.sum(axis=1) - 1).max() > SUM:
        raise Refused("what it gives are no probabilities: they are negative, or do not sum to 1")
    return together
