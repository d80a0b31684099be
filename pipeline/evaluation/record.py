"""What is written down about a candidate, an architecture or the ensemble: figures, report, pictures."""

import time

import numpy as np
import pandas as pd

from pipeline.core import paths, process
from pipeline.core.files import fresh_folder, write_json
from pipeline.data import cifar10, splits
from pipeline.evaluation import metrics
from pipeline.reporting import figures
from pipeline.tracking import store

TIMED = 500  # images, rounded up to whole batches


def seconds_per_1000(model, images: np.ndarray, batch_size: int) -> float:
    """Wall-clock seconds in which a Keras model predicts 1,000 images, measured on the first TIMED or so.

    Compiling is no part of it. Batch by batch, since `predict` was seen to use, by chance, one core or both.
    """
    batches = [images[start : start + batch_size] for start in range(0, min(TIMED, len(images)), batch_size)]
    for batch in batches:
        model.predict_on_batch(batch)
    began = time.perf_counter()
    for batch in batches:
        model.predict_on_batch(batch)
    return (time.perf_counter() - began) / sum(map(len, batches)) * 1000


def training(*receipts: dict) -> dict[str, float]:
    """Wall-clock and CPU seconds that training took, trunk and all, by the receipts of the networks."""
    return {
        "train_seconds": sum(receipt["train_seconds"] for receipt in receipts),
        "train_cpu_seconds": sum(receipt["cpu_seconds"] + receipt["trunk_cpu_seconds"] for receipt in receipts),
    }


def record(
    name: str,
    validation: np.ndarray,
    test: np.ndarray,
    images: np.ndarray,
    labels: np.ndarray,
    bins: int,
    cost: dict[str, float],
    **more: dict,
) -> dict:
    """Write metrics/NAME.json, reports/NAME and plots/evaluation/NAME; return the former's content.

    `validation`, `test`: probabilities float32 (N, 10). `images`, `labels`: the test images uint8 (N, 32, 32, 3) and
    labels (N,). Those with a near-duplicate (paths.DUPLICATES) are left out of a score of its own. `cost`: parameters,
    size_mb (10^6 bytes), seconds_per_1000_images and the like.
    `more`: further sections. The section `spent` is what the process has cost up to then, and is not logged: the run
    has train's metrics of these names.
    """
    _, validation_labels = splits.load(paths.VALIDATION)
    unlike = np.setdiff1d(np.arange(len(labels)), pd.read_csv(paths.DUPLICATES)["image"])
    scores = {
        "validation": metrics.score(validation, validation_labels, bins),
        "test": metrics.score(test, labels, bins),
        "test_without_duplicates": metrics.score(test[unlike], labels[unlike], bins),
        "cost": cost,
        **more,
    }
    tables, pictures = fresh_folder(paths.REPORTS / name), fresh_folder(paths.EVALUATION / name)
    counts = metrics.confusion(test, labels, cifar10.CLASSES)
    counts.to_csv(tables / "confusion.csv")
    long = counts.rename_axis(columns="predicted").stack().rename("count")
    long.to_csv(pictures / "counts.csv")
    report = metrics.per_class(test, labels, cifar10.CLASSES)
    report.to_csv(tables / "report.csv", index=False)
    scores["test_recall"] = report.set_index("class")["recall"][list(cifar10.CLASSES)].to_dict()
    metrics.reliability(test, labels, bins).to_csv(tables / "reliability.csv", index=False)
    worst = metrics.mistakes(test, labels, cifar10.CLASSES)
    worst.to_csv(tables / "mistakes.csv", index=False)
    figures.confusion(
        pictures / "confusion.png", counts, f"{name}: {scores['test']['accuracy']:.2%} of the test images"
    )
    figures.mistakes(pictures / "mistakes.png", images, worst)
    scores["spent"] = process.spent()
    write_json(paths.METRICS / f"{name}.json", scores)
    return scores


def log(name: str, scores: dict) -> None:
    """Log what `record` wrote to the active MLflow run."""
    for split in ("validation", "test", "test_without_duplicates", "test_recall"):
        store.log_scores(split, scores[split])
    store.log_metrics(scores["cost"])
    store.log_files(*sorted((paths.REPORTS / name).iterdir()), *sorted((paths.EVALUATION / name).iterdir()))
