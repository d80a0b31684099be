"""Figures of merit of class probabilities (N, 10) against labels (N,) in 0 to 9. All are fractions unless said."""

import numpy as np
import pandas as pd
from scipy.stats import binomtest
from sklearn.metrics import classification_report, confusion_matrix, f1_score, top_k_accuracy_score

from pipeline.calibration import nll

Z95 = 1.959963984540054  # two-sided 95 % quantile of the normal distribution


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
    """95 % score interval of a proportion (Wilson, 1927, J. Am. Stat. Assoc. 22, 209)."""
    share = correct / total
    centre = share + Z95**2 / (2 * total)
    half = Z95 * np.sqrt(share * (1 - share) / total + Z95**2 / (4 * total**2))
    scale = 1 + Z95**2 / total
    return float((centre - half) / scale), float((centre + half) / scale)


def mcnemar(
    first: np.ndarray, second: np.ndarray, labels: np.ndarray, alternative: str = "two-sided"
) -> dict[str, float]:
    """Exact paired test of two candidates' accuracies on the same images (McNemar, 1947, Psychometrika 12, 153).

    `first`, `second`: probabilities (N, 10). `alternative`: `greater` asks whether the first is better. Returns how
    many images only the first has right, how many only the second, and the p-value.
    """
    right, other = (probabilities.argmax(axis=1) == labels for probabilities in (first, second))
    better, worse = int((right & ~other).sum()), int((other & ~right).sum())
    p = float(binomtest(better, better + worse, alternative=alternative).pvalue) if better + worse else 1.0
    return {"better": better, "worse": worse, "p": p}


def ece(probabilities: np.ndarray, labels: np.ndarray, bins: int) -> float:
    """Expected calibration error of the top class, `bins` bins of equal width (arXiv:1706.04599)."""
    confidence = probabilities.max(axis=1)
    correct = probabilities.argmax(axis=1) == labels
    bin_of = np.minimum((confidence * bins).astype(int), bins - 1)
    gap = np.bincount(bin_of, weights=confidence - correct, minlength=bins)
    return float(np.abs(gap).sum() / len(labels))


def per_class(probabilities: np.ndarray, labels: np.ndarray, classes: tuple[str, ...]) -> pd.DataFrame:
    """Precision, recall, F1 and support: a row a class, then their averages."""
    report = classification_report(
        labels,
        probabilities.argmax(axis=1),
        labels=range(len(classes)),
        target_names=classes,
        output_dict=True,
        zero_division=0,
    )
    report.pop("accuracy", None)
    return pd.DataFrame(report).T.rename_axis("class").reset_index()


def confusion(probabilities: np.ndarray, labels: np.ndarray, classes: tuple[str, ...]) -> pd.DataFrame:
    """Counts: a row an actual class, a column a predicted one."""
    counts = confusion_matrix(labels, probabilities.argmax(axis=1), labels=range(len(classes)))
    return pd.DataFrame(counts, index=pd.Index(classes, name="actual"), columns=classes)
