"""Pictures. Each function writes one PNG file."""

import itertools
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd

from pipeline.core.files import replacing

matplotlib.use("Agg")
import matplotlib.pyplot as plt

COLORS = plt.get_cmap("tab10").colors


def _save(figure: plt.Figure, path: Path) -> None:
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=110, bbox_inches="tight", metadata={"Software": None})
    plt.close(figure)


def samples(path: Path, images: np.ndarray, labels: np.ndarray, classes: tuple[str, ...], columns: int = 10) -> None:
    """A row a class, `columns` images each. `images`: uint8 (N, 32, 32, 3)."""
    figure, axes = plt.subplots(len(classes), columns, figsize=(columns * 0.7, len(classes) * 0.7), squeeze=False)
    for label, row in enumerate(axes):
        for axis, index in zip(row, np.flatnonzero(labels == label), strict=False):
            axis.imshow(images[index])
        row[0].set_ylabel(classes[label], rotation=0, ha="right", va="center")
    for axis in axes.flat:
        axis.set(xticks=[], yticks=[])
        axis.spines[:].set_visible(False)
    _save(figure, path)


def pairs(path: Path, images: np.ndarray, others: np.ndarray, chosen: pd.DataFrame, columns: int = 10) -> None:
    """Pairs of `duplicates.find`: the image, mirrored if the pair is, above the other, and both likenesses.

    `images`, `others`: uint8 (N, 32, 32, 3). Without pairs the picture says so.
    """
    rows = max(-(-len(chosen) // columns), 1)
    figure, axes = plt.subplots(2 * rows, columns, figsize=(columns * 0.9, rows * 2.1), squeeze=False)
    for axis in axes.flat:
        axis.axis("off")
    for number, pair in enumerate(chosen.itertuples()):
        row, column = divmod(number, columns)
        axes[2 * row, column].imshow(images[pair.image][:, :: -1 if pair.mirrored else 1])
        axes[2 * row, column].set_title(f"{pair.outlines:.2f}  {pair.pixels:.2f}", fontsize=7)
        axes[2 * row + 1, column].imshow(others[pair.other])
    found = "likeness of outlines and of pixels; test images above" if len(chosen) else "no near-duplicates"
    figure.suptitle(f"near-duplicates: {found}" if len(chosen) else found, fontsize=9)
    _save(figure, path)


def curves(path: Path, histories: dict[str, pd.DataFrame]) -> None:
    """Accuracy and loss against epochs; solid on validation, dashed on training. Columns: training.HISTORY."""
    figure, axes = plt.subplots(1, 2, figsize=(10, 4))
    for axis, name in zip(axes, ("accuracy", "loss"), strict=True):
        for color, (label, history) in zip(itertools.cycle(COLORS), histories.items(), strict=False):
            axis.plot(history["epoch"], history[f"val_{name}"], color=color, marker=".", label=label)
            axis.plot(history["epoch"], history[name], color=color, linestyle="--", alpha=0.6)
        axis.set(xlabel="epoch", ylabel=name, title=f"{name}: — validation, - - training")
        axis.xaxis.get_major_locator().set_params(integer=True)
        axis.grid(alpha=0.3)
    axes[0].legend()
    _save(figure, path)


def accuracies(path: Path, scores: dict[str, dict[str, float]]) -> None:
    """Test accuracies with their 95 % intervals: points, not bars, since the axis does not start at 0.

    `scores`: figures of `scoring.score` by candidate.
    """
    figure, axis = plt.subplots(figsize=(7, 0.6 * len(scores) + 1))
    names = list(scores)[::-1]
    values = np.array([scores[name]["accuracy"] for name in names]) * 100
    low = values - np.array([scores[name]["accuracy_low"] for name in names]) * 100
    high = np.array([scores[name]["accuracy_high"] for name in names]) * 100 - values
    axis.errorbar(values, names, xerr=[low, high], fmt="o", capsize=3, color=COLORS[0])
    for index, value in enumerate(values):
        axis.annotate(f"{value:.2f} %", (value, index), (0, 6), textcoords="offset points", ha="center")
    axis.set(xlabel="test accuracy, %, with 95 % interval (Wilson)", ylim=(-0.5, len(names) - 0.2))
    axis.grid(axis="x", alpha=0.3)
    _save(figure, path)


def confusion(path: Path, counts: pd.DataFrame, title: str) -> None:
    """Heat map of `scoring.confusion`."""
    figure, axis = plt.subplots(figsize=(6, 5.4))
    shares = counts.to_numpy() / np.maximum(counts.to_numpy().sum(axis=1, keepdims=True), 1)
    axis.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for (row, column), count in np.ndenumerate(counts.to_numpy()):
        color = "white" if shares[row, column] > 0.5 else "black"
        axis.text(column, row, count, ha="center", va="center", fontsize=8, color=color)
    axis.set_xticks(range(len(counts)), counts.columns, rotation=45, ha="right")
    axis.set_yticks(range(len(counts)), counts.index)
    axis.set(xlabel="predicted", ylabel="actual", title=title)
    _save(figure, path)


def mistakes(path: Path, images: np.ndarray, worst: pd.DataFrame) -> None:
    """`scoring.mistakes`, at most 25 of them, with what they were taken for and what they are.

    `images`: uint8 (N, 32, 32, 3), which the rows are indices into.
    """
    figure, axes = plt.subplots(5, 5, figsize=(8, 9))
    for axis in axes.flat:
        axis.axis("off")
    for axis, row in zip(axes.flat, worst.itertuples(), strict=False):
        axis.imshow(images[row.image])
        axis.set_title(f"{row.predicted} {row.confidence:.0%}\nis {row.label}", fontsize=8)
    _save(figure, path)
