"""The promotion gate: whether a challenger is better than the champion, and by what evidence. Validation images decide.

Pure: probabilities and costs in, a decision out.
"""

from collections.abc import Callable
from dataclasses import dataclass
from operator import ge, le
from typing import Any

import numpy as np
from scipy.stats import norm

from pipeline.core.schema import Gate
from pipeline.data import cifar10
from pipeline.evaluation import metrics


@dataclass(frozen=True)
class Candidate:
    """What the gate has to know of a model."""

    name: str
    probabilities: np.ndarray  # of the validation images, float32 (N, 10)
    size_mb: float  # 10^6 bytes
    seconds_per_1000_images: float


def decide(
    challenger: Candidate, champion: Candidate | None, labels: np.ndarray, gate: Gate, bins: int, rivals: int, seed: int
) -> dict:
    """Compare on the same images: `labels` (N,). Without a champion only the limits are looked at.

    The challenger must be better by an exact one-sided McNemar test whose level `gate.alpha` is shared by the `rivals`
    candidates that it was chosen from (Bonferroni), so that in at most that share of the cases an equal one replaces
    the champion; by `gate.minimum_effect`; and in no class worse than by `gate.class_margin`. A tie keeps the champion.
    `bins`, `seed`: of the ECE and of the bootstrap. Returns `promote`, `reason` (one line), `checks` (name, value,
    limit, passed) and `evidence`, which JSON can hold.
    """
    checks = [
        _check("ece", metrics.ece(challenger.probabilities, labels, bins), le, gate.ece_limit),
        _check("size_mb", challenger.size_mb, le, gate.size_limit_mb),
        _check("seconds_per_1000_images", challenger.seconds_per_1000_images, le, gate.latency_limit),
    ]
    evidence: dict[str, Any] = {"images": len(labels), "challenger": _figures(challenger, labels)}
    if champion:
        evidence |= {"champion": _figures(champion, labels), "rivals": rivals}
        evidence |= _compared(challenger.probabilities, champion.probabilities, labels, gate, seed)
        worst = min(evidence["classes"], key=lambda name: evidence["classes"][name]["low"])
        checks += [
            _check("mcnemar_p", evidence["p"], le, gate.alpha / rivals),
            _check("difference", evidence["difference"], ge, gate.minimum_effect),
            _check(f"difference_{worst}_low", evidence["classes"][worst]["low"], ge, -gate.class_margin),
        ]
    failed = [check for check in checks if not check["passed"]]
    return {"promote": not failed, "reason": _reason(failed, champion), "checks": checks, "evidence": evidence}


def incomparable(why: str) -> dict:
    """The decision where champion and challenger have not seen the same images: the champion stays."""
    return {"promote": False, "reason": f"not comparable with the champion: {why}", "checks": [], "evidence": {}}


def _compared(
    challenger: np.ndarray, champion: np.ndarray, labels: np.ndarray, gate: Gate, seed: int
) -> dict[str, Any]:
    """McNemar's counts and p; the difference of the accuracies with its interval; those of each class, with a bound.

    A class's bound is one-sided, `gate.confidence`, from the normal approximation for paired proportions (Fleiss,
    Statistical Methods for Rates and Proportions, 13.2).
    """
    right, other = (probabilities.argmax(axis=1) == labels for probabilities in (challenger, champion))
    gained, lost = right & ~other, other & ~right
    tested, count = metrics.mcnemar(challenger, champion, labels, "greater"), len(labels)
    better, worse = tested["better"], tested["worse"]
    low, high = metrics.interval(better, worse, count, gate.confidence, gate.resamples, seed)
    return {
        **tested,
        "difference": (better - worse) / count,
        "difference_low": low,
        "difference_high": high,
        "classes": {
            name: _bounded(gained[labels == number], lost[labels == number], gate.confidence)
            for number, name in enumerate(cifar10.CLASSES)
            if (labels == number).any()
        },
    }


def _bounded(gained: np.ndarray, lost: np.ndarray, confidence: float) -> dict[str, float]:
    difference = (gained.sum() - lost.sum()) / len(gained)
    error = np.sqrt((gained.mean() + lost.mean() - difference**2) / len(gained))
    return {"difference": float(difference), "low": float(difference - norm.ppf(confidence) * error)}


def _figures(candidate: Candidate, labels: np.ndarray) -> dict:
    accuracy = float((candidate.probabilities.argmax(axis=1) == labels).mean())
    cost = {"size_mb": candidate.size_mb, "seconds_per_1000_images": candidate.seconds_per_1000_images}
    return {"name": candidate.name, "accuracy": accuracy} | cost


def _check(name: str, value: float, within: Callable[[float, float], bool], limit: float | None) -> dict:
    return {"check": name, "value": value, "limit": limit, "passed": limit is None or within(value, limit)}


def _reason(failed: list[dict], champion: Candidate | None) -> str:
    if failed:
        return "; ".join(f"{check['check']} is {check['value']:.4g}, limit {check['limit']:.4g}" for check in failed)
    return "better than the champion, within all limits" if champion else "no champion yet, within all limits"
