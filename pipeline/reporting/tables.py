"""The tables that charts are drawn from, read from files."""

import pandas as pd

from pipeline.core import candidates, paths
from pipeline.reporting import results

AVERAGES = ("accuracy", "macro avg", "weighted avg")  # rows of report.csv that are of no class


def comparison() -> pd.DataFrame:
    """Return a row a candidate: test accuracy with its interval, costs, and the notebook's accuracy."""
    rows = results.comparison(candidates.metrics())
    return pd.DataFrame([row | {"notebook": results.NOTEBOOK.get(row["candidate"])} for row in rows])


def curves() -> pd.DataFrame:
    """Return all histories: architecture, epoch, images (validation or training), accuracy, loss."""
    return pd.concat([history(name) for name in candidates.trained() if name != "ensemble"])


def history(name: str) -> pd.DataFrame:
    """Return the rows of `curves` of one architecture."""
    table = pd.read_csv(paths.HISTORY / f"{name}.csv")
    parts = [
        pd.DataFrame(
            {
                "architecture": name,
                "epoch": table["epoch"],
                "images": images,
                "accuracy": table[f"{prefix}accuracy"],
                "loss": table[f"{prefix}loss"],
            }
        )
        for images, prefix in (("validation", "val_"), ("training", ""))
    ]
    return pd.concat(parts)


def counts(name: str) -> pd.DataFrame:
    """Return the confusion matrix of a candidate: actual, predicted, count."""
    return pd.read_csv(paths.REPORTS / name / "counts.csv")


def reliability(name: str) -> pd.DataFrame:
    """Return the bins of a candidate's confidences: confidence, accuracy, images."""
    return pd.read_csv(paths.REPORTS / name / "reliability.csv")


def mistakes(name: str) -> pd.DataFrame:
    """Return the worst mistakes of a candidate: image, predicted, confidence, label."""
    return pd.read_csv(paths.REPORTS / name / "mistakes.csv")


def per_class(name: str) -> pd.DataFrame:
    """Return the rows of reports/NAME/report.csv that are of classes, not averages."""
    report = pd.read_csv(paths.REPORTS / name / "report.csv")
    return report[~report["class"].isin(AVERAGES)].reset_index(drop=True)


def mistaken() -> pd.DataFrame:
    """Return the share of each class's test images that each candidate has wrong: candidate, class, mistaken."""
    parts = [
        pd.DataFrame({"candidate": name, "class": report["class"], "mistaken": 1 - report["recall"]})
        for name in candidates.trained()
        if len(report := per_class(name))
    ]
    return pd.concat(parts)


def helps() -> pd.DataFrame:
    """Return by class the images that only the vote has right, and that only its best member has."""
    return pd.read_csv(paths.REPORTS / "ensemble/helps.csv")


def front(costs: pd.Series, gains: pd.Series) -> list[bool]:
    """Return which points no other one beats in cost or gain and equals or beats in the other."""
    points = list(zip(costs, gains, strict=True))
    return [
        not any(
            (cost <= own_cost and gain >= own_gain and (cost, gain) != (own_cost, own_gain)) for cost, gain in points
        )
        for own_cost, own_gain in points
    ]
