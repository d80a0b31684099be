"""Figures of merit of class probabilities (N, 10) against labels (N,) in 0 to 9. All are fractions unless said."""

import itertools
import math
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import binomtest
from sklearn.metrics import classification_report, confusion_matrix, f1_score, top_k_accuracy_score

from pipeline.evaluation.calibration import nll


def score(probabilities: np.ndarray, labels: np.ndarray, bins: int) -> dict[str, float]:
    """Accuracy with its 95 % interval, top-3 accuracy, negative log-likelihood (nats), ECE and macro-F1."""
    predicted = probabilities.argmax(axis=1)
    correct = int((predicted == labels).sum())
    low, high = wilson(correct, len(labels))
    classes = range(probabilities.shape[1])
    return {
        "accuracy": correct / len(labels),
        "accuracy_low": low,
        "accuracy_high": high,
        "top3": float(top_k_accuracy_score(labels, probabilities, k=3, labels=classes)),
        "nll": nll(probabilities, labels),
        "ece": ece(probabilities, labels, bins),
        "macro_f1": float(f1_score(labels, predicted, average="macro", labels=classes, zero_division=0)),
        "images": len(labels),
    }


def wilson(correct: int, total: int) -> tuple[float, float]:
    """Return the 95 % score interval of a proportion (Wilson, 1927, J. Am. Stat. Assoc. 22, 209); NaN of nothing."""
    if total == 0:
        return math.nan, math.nan
    interval = binomtest(correct, total).proportion_ci(method="wilson")
    return float(interval.low), float(interval.high)


def mcnemar(
    first: np.ndarray, second: np.ndarray, labels: np.ndarray, alternative: str = "two-sided"
) -> dict[str, Any]:
    """Exact paired test of two candidates' accuracies on the same images (McNemar, 1947, Psychometrika 12, 153).

    `first`, `second`: probabilities (N, 10). `alternative`: `greater` asks whether the first is better. Returns how
    many images only the first has right, how many only the second, and the p-value.
    """
    right, other = (probabilities.argmax(axis=1) == labels for probabilities in (first, second))
    better, worse = int((right & ~other).sum()), int((other & ~right).sum())
    p = float(binomtest(better, better + worse, alternative=alternative).pvalue) if better + worse else 1.0
    return {"better": better, "worse": worse, "p": p}


def interval(better: int, worse: int, count: int, confidence: float, resamples: int, seed: int) -> tuple[float, float]:
    """Two-sided interval of the difference of two accuracies on the same `count` images, by the paired bootstrap.

    `better`, `worse`: images that only the one has right, and only the other. Drawing images with replacement is
    drawing how many of them are of either kind, or of neither.
    """
    shares = np.array([better, worse, count - better - worse]) / count
    drawn = np.random.default_rng(seed).multinomial(count, shares, resamples)
    outside = (1 - confidence) / 2
    low, high = np.quantile((drawn[:, 0] - drawn[:, 1]) / count, [outside, 1 - outside])
    return float(low), float(high)


def paired(candidates: dict[str, np.ndarray], labels: np.ndarray) -> pd.DataFrame:
    """`mcnemar`, two-sided, of each two candidates: a row a pair; `candidates`: probabilities (N, 10) by name."""
    rows = [
        {"first": first, "second": second} | mcnemar(candidates[first], candidates[second], labels)
        for first, second in itertools.combinations(candidates, 2)
    ]
    return pd.DataFrame(rows, columns=["first", "second", "better", "worse", "p"])


def helps(vote: np.ndarray, member: np.ndarray, labels: np.ndarray, classes: tuple[str, ...]) -> pd.DataFrame:
    """A row a class: how many of its images only the vote has right (helped), how many only the member (harmed).

    `vote`, `member`: probabilities (N, 10).
    """
    right, alone = (probabilities.argmax(axis=1) == labels for probabilities in (vote, member))
    helped, harmed = (np.bincount(labels[only], minlength=len(classes)) for only in (right & ~alone, alone & ~right))
    return pd.DataFrame({"class": classes, "helped": helped, "harmed": harmed})


def reliability(probabilities: np.ndarray, labels: np.ndarray, bins: int) -> pd.DataFrame:
    """Mean confidence, accuracy and number of images of each bin that has any: `bins` of equal width, lowest first.

    The confidence is the top class' probability.
    """
    confidence = probabilities.max(axis=1)
    correct = probabilities.argmax(axis=1) == labels
    bin_of = np.minimum((confidence * bins).astype(int), bins - 1)
    images = np.bincount(bin_of, minlength=bins)
    filled = images > 0
    sums = [np.bincount(bin_of, weights=values, minlength=bins)[filled] for values in (confidence, correct)]
    images = images[filled]
    return pd.DataFrame({"confidence": sums[0] / images, "accuracy": sums[1] / images, "images": images})


def ece(probabilities: np.ndarray, labels: np.ndarray, bins: int) -> float:
    """Expected calibration error of the top class, by the rows of `reliability` (arXiv:1706.04599)."""
    table = reliability(probabilities, labels, bins)
    return float(((table["confidence"] - table["accuracy"]).abs() * table["images"]).sum() / len(labels))


def mistakes(probabilities: np.ndarray, labels: np.ndarray, classes: tuple[str, ...], most: int = 25) -> pd.DataFrame:
    """The images whose wrong class got the highest probability, at most `most`, worst first.

    Columns: image, its index; label and predicted, names of classes; confidence, the predicted one's probability.
    """
    predicted, confidence = probabilities.argmax(axis=1), probabilities.max(axis=1)
    wrong = np.flatnonzero(predicted != labels)
    worst = wrong[np.argsort(-confidence[wrong], kind="stable")[:most]]
    names = np.array(classes)
    columns = {"image": worst, "label": names[labels[worst]], "predicted": names[predicted[worst]]}
    return pd.DataFrame(columns | {"confidence": confidence[worst]})


def per_class(probabilities: np.ndarray, labels: np.ndarray, classes: tuple[str, ...]) -> pd.DataFrame:
    """Return precision, recall, F1 and support: a row a class, then their averages.

    The recall of a class has a 95 % interval, `recall_low` to `recall_high`; an average has none (NaN).
    """
    predicted = probabilities.argmax(axis=1)
    report = classification_report(
        labels, predicted, labels=range(len(classes)), target_names=classes, output_dict=True, zero_division=0
    )
    report.pop("accuracy", None)
    table = pd.DataFrame(report).T
    right, images = (np.bincount(of, minlength=len(classes)) for of in (labels[predicted == labels], labels))
    intervals = [wilson(int(correct), int(total)) for correct, total in zip(right, images, strict=True)]
    table.loc[list(classes), ["recall_low", "recall_high"]] = intervals
    return table.rename_axis("class").reset_index()


def confusion(probabilities: np.ndarray, labels: np.ndarray, classes: tuple[str, ...]) -> pd.DataFrame:
    """Counts: a row an actual class, a column a predicted one."""
    counts = confusion_matrix(labels, probabilities.argmax(axis=1), labels=range(len(classes)))
    return pd.DataFrame(counts, index=pd.Index(classes, name="actual"), columns=classes)
