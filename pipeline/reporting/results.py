"""The tables of all candidates: columns from `catalog`, figures from `candidates.metrics`."""

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
    found = []
    for name, figures in metrics.items():
        known = figures | {"notebook": {"accuracy": NOTEBOOK[name]} if name in NOTEBOOK else {}}
        cells = [metric.cell(known) for metric in catalog.shown(place)]
        if "skipped" in figures:
            cells[0] = f"skipped: {figures['skipped']}"
        found.append((name, *cells))
    return found


def markdown(metrics: Metrics) -> str:
    """Return the table of results in GitHub's Markdown, with a line's end at its end."""
    lines = [HEADER, ("---",) * len(HEADER), *rows(metrics)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)
