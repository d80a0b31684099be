"""Temperature scaling (Guo et al., 2017, https://arxiv.org/abs/1706.04599)."""

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import softmax
from sklearn.metrics import log_loss


def probabilities(logits: np.ndarray, temperature: float) -> np.ndarray:
    """Return the softmax of logits (N, 10) over a temperature, in the logits' dtype."""
    return softmax(logits / logits.dtype.type(temperature), axis=1)


def best_temperature(logits: np.ndarray, labels: np.ndarray) -> float:
    """Return the divisor of the logits (N, 10) that minimises the negative log-likelihood of the labels (N,)."""
    logits = logits.astype("float64")

    def loss(log_temperature: float) -> float:
        return nll(probabilities(logits, np.exp(log_temperature)), labels)

    return float(np.exp(minimize_scalar(loss, bounds=(-3, 3), method="bounded").x))


def nll(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """Return the mean negative log-likelihood, nats, of labels (N,) under probabilities (N, 10), clipped at 1e-12."""
    clipped = np.clip(probabilities.astype("float64"), 1e-12, 1)
    clipped /= clipped.sum(axis=1, keepdims=True)
    return float(log_loss(labels, clipped, labels=range(clipped.shape[1])))
