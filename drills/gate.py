"""How often the gate lets a challenger through whose true accuracy is known: `python -m drills.gate`."""

import sys
from collections.abc import Iterator

import numpy as np
from tqdm import tqdm

from pipeline.core import params
from pipeline.core.schema import Gate
from pipeline.registry import gate

TRIALS, IMAGES = 2_000, 5_000
# Of each class, as the committed run's three networks have it on validation: the mean accuracy, and the share of the
# images that only one of two has right. Even shares would hide that a class like cat (3) differs much by chance.
ACCURACY = np.array([0.953, 0.962, 0.922, 0.836, 0.937, 0.877, 0.967, 0.961, 0.962, 0.969])
DISAGREEMENT = np.array([0.063, 0.045, 0.088, 0.160, 0.073, 0.113, 0.037, 0.044, 0.041, 0.037])
DIFFERENCES = (0.0, 0.003, 0.01, 0.03)
RIVALS = (1, 5)


def faults() -> Iterator[tuple[str, str, bool]]:
    settings = params.load().gate
    for difference in DIFFERENCES:
        for rivals in RIVALS:
            rate = promoted(difference, rivals, settings, TRIALS)
            allowed = "" if difference else f", at most {settings.alpha:.0%} allowed"
            injected = f"{TRIALS} challengers, better than the champion by {difference:.1%}, each the best of {rivals}"
            yield injected, f"{rate:.1%} promoted{allowed}", difference > 0 or rate <= settings.alpha


def promoted(difference: float, rivals: int, settings: Gate, trials: int) -> float:
    """Share of the trials in which the best of `rivals` challengers, all better by `difference`, is promoted."""
    rng = np.random.default_rng(0)
    settings = settings.model_copy(update={"ece_limit": None, "resamples": 100})  # which decide nothing here
    labels = np.arange(IMAGES) % 10
    decisions = []
    for trial in tqdm(range(trials), leave=False, disable=None):
        champion = rng.random(IMAGES) < ACCURACY[labels]
        challengers = [changed(champion, labels, difference, rng) for _ in range(rivals)]
        best = max(challengers, key=np.count_nonzero)
        sides = [gate.Candidate("", probabilities(right, labels), 1.0, 1.0) for right in (best, champion)]
        decisions.append(gate.decide(*sides, labels, settings, 15, rivals, trial)["promote"])
    return float(np.mean(decisions))


def changed(right: np.ndarray, labels: np.ndarray, difference: float, rng: np.random.Generator) -> np.ndarray:
    """Which images another model has right, that differs by DISAGREEMENT and is better by `difference` (a fraction).

    A class's part in the difference is as large as its part in the disagreement.
    """
    advantage = difference / DISAGREEMENT.mean()
    lost = DISAGREEMENT * (1 - advantage) / 2 / ACCURACY
    gained = DISAGREEMENT * (1 + advantage) / 2 / (1 - ACCURACY)
    drawn = rng.random(len(right))
    return np.where(right, drawn >= lost[labels], drawn < gained[labels])


def probabilities(right: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Certain ones, float32 (N, 10), of the label where it is right, of the next class elsewhere."""
    return np.eye(10, dtype="float32")[(labels + ~right) % 10]


def main() -> None:
    """Print a line for each simulation; exit with 1 if more challengers that are no better got through than allowed."""
    failed = 0
    for line in faults():
        print(*line, sep=" | ", flush=True)
        failed += not line[-1]
    sys.exit(failed > 0)


if __name__ == "__main__":
    main()
