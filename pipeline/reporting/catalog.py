"""The table of metrics: title, format, and where each is shown. Editing it evaluates nothing again.

To add a metric: compute it in `pipeline.evaluation.metrics.score`, and give it a row here. A test compares the two.
"""

import enum
import string
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


class Place(enum.Flag):
    """Where a metric is shown. All of them are in metrics/NAME.json and in MLflow's run besides."""

    RESULTS = enum.auto()  # columns of reports/results.md, which is the README's table, and of the page's
    SUMMARY = enum.auto()  # columns of what stage `summary` prints, 100 characters a line
    CARD = enum.auto()  # the model card: of a split a column of its scores, of `cost` a line of its details
    TAGS = enum.auto()  # tags of a registered version, few, since MLflow's page shows them all at once


RESULTS, SUMMARY, CARD, TAGS = Place
# Sections of a metrics file that have the same metrics, each of other images.
SPLITS = {"test": "test", "test_without_duplicates": "test without near-duplicates", "validation": "validation"}


@dataclass(frozen=True)
class Metric:
    """A row. `format`: of the section's values, fractions as `:.2%`; the per cent sign goes into the titles."""

    section: str  # of a metrics file
    key: str
    title: str
    format: str
    places: Place
    brief: str = ""  # title where there is little room, if it is another one
    hub: str = ""  # Hugging Face's name for it, by which the card's metadata have it

    @property
    def short(self) -> str:
        """Return the title for SUMMARY and CARD."""
        return self.brief or self.title

    @property
    def tag(self) -> str:
        """Return the name that the metric has in MLflow, as a tag and in a run."""
        return f"{self.section}_{self.key}"

    @property
    def fields(self) -> set[str]:
        """Return the keys of the section that the cell shows."""
        return {name for _, name, _, _ in string.Formatter().parse(self.format) if name}

    def cell(self, figures: Mapping[str, Any], section: str = "") -> str:
        """Return the text of the metric in a metrics file, or of another section of it; empty if that has none."""
        values = figures.get(section or self.section, {})
        return self.format.format(**values).replace("%", "") if self.fields <= values.keys() else ""


INTERVAL = "{accuracy:.2%} ({accuracy_low:.2%} to {accuracy_high:.2%})"
EVERYWHERE = RESULTS | SUMMARY | CARD | TAGS
SECONDS, TRAINING = "{seconds_per_1000_images:.1f}", "{train_seconds:.0f} ({train_cpu_seconds:.0f})"
METRICS = (
    Metric("test", "images", "images", "{images:,}", CARD),
    Metric("test", "accuracy", "test accuracy, % (95 % interval)", INTERVAL, EVERYWHERE, "accuracy, %", "accuracy"),
    Metric("notebook", "accuracy", "notebook", "{accuracy:.2%}", RESULTS),
    Metric("test_without_duplicates", "accuracy", "without near-duplicates, %", "{accuracy:.2%}", RESULTS),
    Metric("validation", "accuracy", "validation, %", "{accuracy:.2%}", RESULTS | SUMMARY, "validation"),
    Metric("test", "top3", "top-3, %", "{top3:.2%}", RESULTS | CARD),
    Metric("test", "nll", "NLL", "{nll:.3f}", RESULTS | CARD),
    Metric("test", "ece", "ECE", "{ece:.4f}", RESULTS | SUMMARY | CARD),
    Metric("test", "macro_f1", "macro-F1", "{macro_f1:.4f}", RESULTS | CARD, hub="f1"),
    Metric("cost", "parameters", "parameters", "{parameters:,}", RESULTS | CARD),
    Metric("cost", "size_mb", "MB", "{size_mb:.1f}", RESULTS | CARD),
    Metric("cost", "seconds_per_1000_images", "s per 1,000 images", SECONDS, RESULTS | SUMMARY | CARD, "s per 1,000"),
    Metric("cost", "train_seconds", "training, s (of CPU time)", TRAINING, RESULTS | SUMMARY | CARD, "train, s (CPU)"),
)


def shown(place: Place, *sections: str) -> list[Metric]:
    """Return the metrics that are shown somewhere, in order; given `sections`, those of these only."""
    return [metric for metric in METRICS if place in metric.places and (not sections or metric.section in sections)]
