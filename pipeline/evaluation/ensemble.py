"""Soft voting: members, weights and temperature, all chosen on validation probabilities."""

from dataclasses import dataclass

import numpy as np

from pipeline.evaluation import calibration


@dataclass(frozen=True)
class Vote:
    weights: dict[str, float]  # of the members only; positive, they sum to 1
    temperature: float

    def average(self, probabilities: dict[str, np.ndarray]) -> np.ndarray:
        """Members' probabilities float32 (N, 10) each to the vote's, in the arithmetic of `wrappers.ensemble`."""
        mean = sum(np.float32(weight) * probabilities[name] for name, weight in self.weights.items())
        return calibration.probabilities(np.log(mean + np.float32(1e-12)), self.temperature)


def choose(probabilities: dict[str, np.ndarray], labels: np.ndarray, rounds: int) -> Vote:
    """Greedy forward selection with replacement (Caruana et al., 2004, doi:10.1145/1015330.1015432).

    Each round adds the candidate that lowers the negative log-likelihood of the mean most; a member's weight is its
    share of the rounds. The temperature is fitted last.
    """
    chosen: list[str] = []
    total = np.zeros_like(next(iter(probabilities.values())), dtype="float64")
    for size in range(1, rounds + 1):
        losses = {
            name: calibration.nll((total + candidate) / size, labels) for name, candidate in probabilities.items()
        }
        chosen.append(min(losses, key=lambda name: losses[name]))
        total += probabilities[chosen[-1]]
    weights = {name: chosen.count(name) / rounds for name in probabilities if name in chosen}
    return Vote(weights, calibration.best_temperature(np.log(total / rounds + 1e-12), labels))
