"""The training loop: optimizer, schedule, early stopping, history. Keras only, so that any backend can run it."""

import time
from collections.abc import Callable
from dataclasses import dataclass

import keras
import numpy as np
import pandas as pd

from pipeline.console import verbosity
from pipeline.errors import UserError
from pipeline.params import Training

HISTORY = ["epoch", "loss", "accuracy", "val_loss", "val_accuracy", "learning_rate", "seconds"]


@dataclass(frozen=True)
class Task:
    """What `scratch` and `transfer` hand to `fit`, and how the outcome becomes a network for images."""

    network: keras.Model  # what is trained: inputs to logits (N, 10)
    batches: keras.utils.PyDataset
    validation: tuple[np.ndarray, np.ndarray]  # inputs, one-hot targets float32 (N, 10)
    finish: Callable[[], keras.Model]  # float32 network with the trained weights: uint8 images to logits


class OneCycle(keras.optimizers.schedules.LearningRateSchedule):
    """Learning rate that rises in a straight line to its peak, then falls in one (arXiv:1708.07120)."""

    def __init__(self, peak: float, steps: int, start: float, peak_at: float, end: float):
        """`start` and `end` are fractions of `peak`; `peak_at` is a fraction of the `steps`."""
        self._peak, self._steps, self._start, self._peak_at, self._end = peak, steps, start, peak_at, end

    def __call__(self, step):
        done = keras.ops.cast(step, "float32") / self._steps
        rise = self._start + (1 - self._start) * done / self._peak_at
        fall = 1 + (self._end - 1) * (done - self._peak_at) / (1 - self._peak_at)
        return self._peak * keras.ops.where(done < self._peak_at, rise, fall)

    def get_config(self) -> dict:
        names = {"peak": self._peak, "steps": self._steps, "start": self._start}
        return names | {"peak_at": self._peak_at, "end": self._end}


def make_optimizer(training: Training, steps: int) -> keras.optimizers.Optimizer:
    """Return AdamW or Nesterov SGD with decoupled weight decay, which spares biases and normalisation."""
    schedule = OneCycle(training.learning_rate, steps, training.start, training.peak_at, training.end)
    kind = {"adamw": keras.optimizers.AdamW, "sgd": keras.optimizers.SGD}[training.optimizer]
    momentum = {"beta_1": training.momentum}
    if training.optimizer == "sgd":
        momentum = {"momentum": training.momentum, "nesterov": training.momentum > 0}

    class FastBiases(kind):
        """Multiplies the learning rate of the normalisation biases (arXiv:2404.00498, section 3.4)."""

        def update_step(self, gradient, variable, learning_rate):
            factor = training.bias_factor if variable.name == "beta" else 1
            super().update_step(gradient, variable, learning_rate * factor)

    optimizer = FastBiases(schedule, weight_decay=training.weight_decay, **momentum)
    optimizer.exclude_from_weight_decay(var_names=["beta", "gamma", "bias"])
    return optimizer


def fit(task: Task, training: Training, xla: bool, on_epoch: Callable[[dict], None]) -> pd.DataFrame:
    """Train the task's network; it ends with the weights of the epoch that had the best validation accuracy.

    `on_epoch` is told each row of the history as it comes.
    Returns the history, a row an epoch, columns HISTORY; accuracies are fractions, seconds are wall-clock.
    Raises UserError when the loss is not finite.
    """
    task.network.compile(
        optimizer=make_optimizer(training, training.epochs * len(task.batches)),
        loss=keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=training.label_smoothing),
        metrics=["accuracy"],
        jit_compile=xla,
    )
    recorder = Recorder(on_epoch)
    early = keras.callbacks.EarlyStopping(
        "val_accuracy", mode="max", patience=training.patience, restore_best_weights=True
    )
    # Keras fixes the shape of the inputs at the start of a fit, so small and whole images take one each.
    small = min(training.small_epochs, training.epochs)
    for begin, end in ((0, small), (small, training.epochs)):
        task.network.fit(
            task.batches,
            validation_data=task.validation,
            validation_batch_size=training.batch_size,
            initial_epoch=begin,
            epochs=end,
            callbacks=[recorder, early],
            verbose=verbosity(),
        )
    return pd.DataFrame(recorder.rows, columns=HISTORY)


class Recorder(keras.callbacks.Callback):
    """Collects the history and stops a run whose loss is no longer a number."""

    def __init__(self, on_epoch: Callable[[dict], None]):
        super().__init__()
        self.rows, self._on_epoch = [], on_epoch

    def on_epoch_begin(self, epoch, logs=None):
        self._began = time.perf_counter()

    def on_train_batch_end(self, batch, logs=None):
        if not np.isfinite(logs["loss"]):
            raise UserError("training diverged: the loss is NaN or infinite; lower training.learning_rate")

    def on_epoch_end(self, epoch, logs=None):
        rate = float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate))
        seconds = time.perf_counter() - self._began
        row = {"epoch": epoch + 1, **{name: float(value) for name, value in logs.items()}}
        row |= {"learning_rate": rate, "seconds": seconds}
        self.rows.append({name: row[name] for name in HISTORY})
        self._on_epoch(self.rows[-1])
