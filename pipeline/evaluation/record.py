"""What is written down about a candidate, an architecture or the ensemble: figures and tables, and what they cost."""

import time
from typing import Any

import keras
import numpy as np
import pandas as pd

from pipeline.core import paths, process
from pipeline.core.files import fresh_folder, write_json
from pipeline.data import cifar10, splits
from pipeline.evaluation import metrics

TIMED = 500  # images, rounded up to whole batches


def seconds_per_1000(model: keras.Model, images: np.ndarray, batch_size: int) -> float:
    """Return the wall-clock seconds in which a model predicts 1,000 images, measured on the first TIMED or so.

    Compiling is no part of it. Batch by batch, since `predict` was seen to use, by chance, one core or both.
    """
    batches = [images[start : start + batch_size] for start in range(0, min(TIMED, len(images)), batch_size)]
    for batch in batches:
        model.predict_on_batch(batch)
    began = time.perf_counter()
    for batch in batches:
        model.predict_on_batch(batch)
    return (time.perf_counter() - began) / sum(map(len, batches)) * 1000


def write(
    name: str,
    validation: np.ndarray,
    test: np.ndarray,
    labels: np.ndarray,
    bins: int,
    cost: dict[str, float],
    **more: dict[str, Any],
) -> dict[str, Any]:
    """Write metrics/NAME.json and the tables in reports/NAME; return the former's content.

    `validation`, `test`: probabilities float32 (N, 10). `labels`: of the test images, uint8 (N,). Those with a
    near-duplicate (paths.DUPLICATES) are left out of a score of its own. `cost`: parameters, size_mb (10^6 bytes).
    `more`: further sections.
    """
    unlike = np.setdiff1d(np.arange(len(labels)), pd.read_csv(paths.DUPLICATES)["image"])
    report = metrics.per_class(test, labels, cifar10.CLASSES)
    scores = {
        "validation": metrics.score(validation, splits.labels(paths.VALIDATION), bins),
        "test": metrics.score(test, labels, bins),
        "test_without_duplicates": metrics.score(test[unlike], labels[unlike], bins),
        "cost": cost,
        **more,
        "test_recall": report.set_index("class")["recall"][list(cifar10.CLASSES)].to_dict(),
    }
    tables = fresh_folder(paths.REPORTS / name)
    counts = metrics.confusion(test, labels, cifar10.CLASSES)
    counts.to_csv(tables / "confusion.csv")
    counts.rename_axis(columns="predicted").stack().rename("count").to_csv(tables / "counts.csv")
    report.to_csv(tables / "report.csv", index=False)
    metrics.reliability(test, labels, bins).to_csv(tables / "reliability.csv", index=False)
    metrics.mistakes(test, labels, cifar10.CLASSES).to_csv(tables / "mistakes.csv", index=False)
    write_json(paths.METRICS / f"{name}.json", scores)
    return scores


def write_cost(name: str, seconds: float, **more: float | str) -> None:
    """Write records/evaluate/NAME.json: `seconds` per 1,000 images, what the process has cost so far, and `more`."""
    cost = {"started": process.began(), "seconds_per_1000_images": seconds, "versions": process.versions()}
    write_json(paths.RECORDS / "evaluate" / f"{name}.json", cost | {"spent": process.spent()} | more)
