"""Optimizer, learning-rate schedule, and the learning rate of each variable. Keras only."""

from collections.abc import Iterator
from typing import Any

import keras

from pipeline.core.schema import Training


class OneCycle(keras.optimizers.schedules.LearningRateSchedule):
    """Learning rate that rises in a straight line to its peak, then falls in one (arXiv:1708.07120)."""

    def __init__(self, peak: float, steps: int, start: float, peak_at: float, end: float):
        """`start` and `end` are fractions of `peak`; `peak_at` is a fraction of the `steps`."""
        self._peak, self._steps, self._start, self._peak_at, self._end = peak, steps, start, peak_at, end

    def __call__(self, step: keras.KerasTensor) -> keras.KerasTensor:
        done = keras.ops.cast(step, "float32") / self._steps
        rise = self._start + (1 - self._start) * done / self._peak_at
        fall = 1 + (self._end - 1) * (done - self._peak_at) / (1 - self._peak_at)
        return self._peak * keras.ops.where(done < self._peak_at, rise, fall)

    def get_config(self) -> dict:
        names = {"peak": self._peak, "steps": self._steps, "start": self._start}
        return names | {"peak_at": self._peak_at, "end": self._end}


def make_optimizer(
    training: Training, steps: int, factors: dict[str, float], ema: float = 0.0
) -> keras.optimizers.Optimizer:
    """Return AdamW or Nesterov SGD with decoupled weight decay, which spares biases and normalisation.

    `factors`: by a variable's path, what its learning rate is multiplied by; 1 where there is none. `ema`: share that a
    step keeps of the moving average of the weights; 0: none.
    """
    schedule = OneCycle(training.learning_rate, steps, training.start, training.peak_at, training.end)
    kind: Any = {"adamw": keras.optimizers.AdamW, "sgd": keras.optimizers.SGD}[training.optimizer]
    settings: dict[str, Any] = {"weight_decay": training.weight_decay}
    if training.optimizer == "sgd":
        settings |= {"momentum": training.momentum, "nesterov": training.momentum > 0}
    else:
        settings |= {"beta_1": training.momentum}
    if ema:
        settings |= {"use_ema": True, "ema_momentum": ema}

    class OwnRates(kind):
        """A learning rate for each variable; averages replace the weights when asked to, not whenever `fit` ends."""

        def finalize_variable_values(self, var_list: list[keras.Variable]) -> None:
            pass

        def average(self, variables: list[keras.Variable]) -> None:
            super().finalize_variable_values(variables)

        def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
            # TensorFlow hands over its own variable, under a name of its own.
            path = self._trainable_variables[self._get_variable_index(variable)].path
            super().update_step(gradient, variable, learning_rate * factors.get(path, 1.0))

    optimizer = OwnRates(schedule, **settings)
    optimizer.exclude_from_weight_decay(var_names=["beta", "gamma", "bias"])
    return optimizer


def learning_rate_factors(network: keras.Model, bias_factor: float = 1.0, first_layer: float = 1.0) -> dict[str, float]:
    """By a variable's path: `bias_factor` for the normalisations' biases (arXiv:2404.00498, section 3.4), times the
    layer's own, which rises geometrically from `first_layer` to 1 at the last layer (arXiv:1801.06146, section 3.2).
    """
    layers = [layer for layer in in_order(network) if layer._trainable_variables]
    factors = {}
    for number, layer in enumerate(layers, start=1):
        own = first_layer ** (1 - number / len(layers))
        for variable in layer._trainable_variables:
            factors[variable.path] = own * (bias_factor if variable.name == "beta" else 1.0)
    return factors


def in_order(network: keras.Model) -> Iterator[keras.layers.Layer]:
    """Its layers from the first to the last, those of the networks within it in their place."""
    for layer in network.layers:
        yield from in_order(layer) if isinstance(layer, keras.Model) else [layer]
