"""The state of a training after its last whole epoch, in one file; a resumed training gives the same bits."""

import json
from pathlib import Path

import keras
import numpy as np

from pipeline.core.files import replacing


def save(path: Path, network: keras.Model, rows: list[dict], best_weights: list[np.ndarray]) -> None:
    """Write a .npz file: the variables of `network` and of its optimizer, the history, the best weights so far."""
    arrays = {"rows": np.array(json.dumps(rows))}
    values = map(keras.ops.convert_to_numpy, _variables(network))
    arrays |= {f"variable_{number}": value for number, value in enumerate(values)}
    arrays |= {f"best_{number}": value for number, value in enumerate(best_weights)}
    with replacing(path) as temporary:
        np.savez(temporary, allow_pickle=False, **arrays)


def load(path: Path, network: keras.Model) -> tuple[list[dict], list[np.ndarray]]:
    """Load what `save` wrote into `network` and its optimizer; return the history and the best weights.

    Without a file nothing is changed, and both are empty.
    """
    if not path.exists():
        return [], []
    with np.load(path) as arrays:
        network.optimizer.build(network.trainable_variables)
        for number, variable in enumerate(_variables(network)):
            variable.assign(arrays[f"variable_{number}"])
        count = sum(name.startswith("best_") for name in arrays)
        return json.loads(str(arrays["rows"])), [arrays[f"best_{number}"] for number in range(count)]


def _variables(network: keras.Model) -> list[keras.Variable]:
    """Weights, statistics, seeds of dropout, moments, averages, steps; not the images, which `Augment` holds."""
    own = [variable for variable in network.variables if variable.dtype != "uint8"]
    return [*own, *network.optimizer.variables]
