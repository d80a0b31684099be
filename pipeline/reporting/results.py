"""The tables of all candidates: columns from `catalog`, figures from `candidates.metrics`."""

from typing import Any

from pipeline.core.candidates import Metrics
from pipeline.reporting import catalog
from pipeline.reporting.catalog import RESULTS, Place

# The student notebook that this project grew from: test accuracy, chosen on the test set, on a Colab T4.
NOTEBOOK = {
    "custom_cnn": 0.7247,
    "mobilenetv2": 0.8617,
    "efficientnetb0": 0.8614,
    "resnet50v2": 0.7930,
    "ensemble": 0.8934,
}
HEADER = ("model", *(metric.title for metric in catalog.shown(RESULTS)))


def rows(metrics: Metrics, place: Place = RESULTS) -> list[tuple[str, ...]]:
    """Return a row a candidate: its name, and a cell a metric of `place`.

    A skipped one has the reason in its second cell, and no figures of ours.
    """
    return [_row(name, figures, place) for name, figures in metrics.items()]


def _row(name: str, figures: dict[str, Any], place: Place) -> tuple[str, ...]:
    known = figures | ({"notebook": {"accuracy": NOTEBOOK[name]}} if name in NOTEBOOK else {})
    cells = [metric.cell(known) for metric in catalog.shown(place)]
    if "skipped" in figures:
        cells[0] = f"skipped: {figures['skipped']}"
    return (name, *cells)


def comparison(metrics: Metrics) -> list[dict[str, Any]]:
    """Return test accuracy with its interval, and costs, of each candidate that has figures."""
    return [
        {"candidate": name}
        | {key: figures["test"][key] for key in ("accuracy", "accuracy_low", "accuracy_high")}
        | {key: figures["cost"][key] for key in ("seconds_per_1000_images", "size_mb", "train_seconds")}
        for name, figures in metrics.items()
        if "skipped" not in figures
    ]


def markdown(metrics: Metrics) -> str:
    """Return the table of results in GitHub's Markdown, with a line's end at its end."""
    lines = [HEADER, ("---",) * len(HEADER), *rows(metrics)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)
