"""The tables that charts are drawn from, read from files."""

import pandas as pd

from pipeline.core import candidates, paths
from pipeline.core.files import read_json
from pipeline.reporting import results

SCORES = ("accuracy", "accuracy_low", "accuracy_high")
COSTS = ("seconds_per_1000_images", "size_mb", "train_seconds")
AVERAGES = ("accuracy", "macro avg", "weighted avg")  # rows of report.csv that are of no class


def read(name: str, table: str) -> pd.DataFrame:
    """Return reports/NAME/TABLE.csv of a candidate, as stage `evaluate` or `ensemble` wrote it.

    report: class, precision, recall, f1-score, support, recall_low, recall_high; counts: actual, predicted, count;
    reliability: confidence, accuracy, images; mistakes: image, label, predicted, confidence; of the ensemble also
    paired: first, second, better, worse, p; helps: class, helped, harmed.
    """
    return pd.read_csv(paths.REPORTS / name / f"{table}.csv")


def comparison() -> pd.DataFrame:
    """Return a row a candidate that was not skipped: candidate, SCORES (test images), COSTS, notebook (accuracy)."""
    rows = [
        {"candidate": name}
        | {key: figures["test"][key] for key in SCORES}
        | {key: figures["cost"][key] for key in COSTS}
        | {"notebook": results.NOTEBOOK.get(name)}
        for name, figures in candidates.scored().items()
    ]
    return pd.DataFrame(rows)


def curves() -> pd.DataFrame:
    """Return all histories: architecture, epoch, images (validation or training), accuracy, loss."""
    return pd.concat([history(name) for name in candidates.trained() if name != "ensemble"])


def history(name: str) -> pd.DataFrame:
    """Return the rows of `curves` of one architecture."""
    training = pd.read_csv(paths.HISTORY / f"{name}.csv").assign(architecture=name, images="training")
    validation = training.assign(images="validation", accuracy=training["val_accuracy"], loss=training["val_loss"])
    return pd.concat([validation, training])[["architecture", "epoch", "images", "accuracy", "loss"]]


def per_class(name: str) -> pd.DataFrame:
    """Return the rows of reports/NAME/report.csv that are of classes, not averages."""
    report = read(name, "report")
    return report[~report["class"].isin(AVERAGES)].reset_index(drop=True)


def mistaken() -> pd.DataFrame:
    """Return the share of each class's test images that each candidate has wrong: candidate, class, mistaken."""
    classes = pd.concat([per_class(name).assign(candidate=name) for name in candidates.trained()])
    return classes.assign(mistaken=1 - classes["recall"])[["candidate", "class", "mistaken"]]


def split_sizes() -> dict[str, int]:
    """Return how many images each split has."""
    classes = read_json(paths.REPORTS / "data.json")["classes"]
    return {split: sum(counts.values()) for split, counts in classes.items()}


def front(costs: pd.Series, gains: pd.Series) -> list[bool]:
    """Return which points no other one beats in cost or gain and equals or beats in the other."""
    return [
        not ((costs <= cost) & (gains >= gain) & ((costs < cost) | (gains > gain))).any()
        for cost, gain in zip(costs, gains, strict=True)
    ]
