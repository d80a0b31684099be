"""The training loop: optimizer, schedule, early stopping, history. Keras only, so that any backend can run it."""

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

import keras
import numpy as np
import pandas as pd
from tqdm import tqdm

from pipeline.batches import Batches
from pipeline.console import verbosity
from pipeline.errors import UserError
from pipeline.params import Training

HISTORY = ["epoch", "loss", "accuracy", "val_loss", "val_accuracy", "learning_rate", "seconds"]


@dataclass(frozen=True)
class Task:
    """What `scratch` and `transfer` hand to `fit`, and how the outcome becomes a network for images."""

    network: keras.Model  # what is trained: inputs to logits (N, 10)
    batches: Callable[[int], Batches]  # of an epoch, counted from 0
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
            # TensorFlow hands over its own variable, under a name of its own.
            name = self._trainable_variables[self._get_variable_index(variable)].name
            factor = training.bias_factor if name == "beta" else 1
            super().update_step(gradient, variable, learning_rate * factor)

    optimizer = FastBiases(schedule, weight_decay=training.weight_decay, **momentum)
    optimizer.exclude_from_weight_decay(var_names=["beta", "gamma", "bias"])
    return optimizer


def fit(task: Task, training: Training, xla: bool, on_epoch: Callable[[dict], None]) -> pd.DataFrame:
    """Train the task's network; it ends with the weights of the epoch that had the best validation accuracy.

    Training stops early after `training.patience` epochs without a better one. `on_epoch` is told each row of the
    history as it comes. Returns the history, a row an epoch, columns HISTORY; accuracies are fractions, seconds are
    wall-clock. Raises UserError when the loss is not finite.
    """
    network = task.network
    network.compile(
        optimizer=make_optimizer(training, training.epochs * len(task.batches(0))),
        loss=keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=training.label_smoothing),
        metrics=["accuracy"],
        jit_compile=xla,
    )
    rows, best, best_weights = [], -1.0, None
    for epoch in range(training.epochs):
        rows.append(_train_epoch(task, training, epoch))
        on_epoch(rows[-1])
        _say(rows, training.epochs)
        if rows[-1]["val_accuracy"] > best:
            best, best_weights, since = rows[-1]["val_accuracy"], network.get_weights(), 0
        else:
            since += 1
        if since == training.patience:
            print(f"no better validation accuracy in {since} epochs: stopping early")
            break
    network.set_weights(best_weights)
    return pd.DataFrame(rows, columns=HISTORY)


def _train_epoch(task: Task, training: Training, epoch: int) -> dict:
    """One pass over the batches, step by step, then validation.

    Not Keras' `fit`: with TensorFlow, its Python generator blocks a thread of the pool that computes, which on two
    cores leaves one of them idle for most of the time.
    """
    began = time.perf_counter()
    network, batches = task.network, task.batches(epoch)
    seen = []  # figures of each batch alone; all are of one size, so that their means are means over the images
    steps = tqdm(
        range(len(batches)), f"epoch {epoch + 1}", unit="step", leave=False, file=sys.stdout, disable=verbosity() != 1
    )
    for step in steps:
        seen.append(network.train_on_batch(*batches[step], return_dict=True))
        if not np.isfinite(seen[-1]["loss"]):
            raise UserError("training diverged: the loss is NaN or infinite; lower training.learning_rate")
    validated = network.evaluate(*task.validation, batch_size=training.batch_size, verbose=0, return_dict=True)
    row = {name: np.mean([step[name] for step in seen]) for name in seen[0]}
    row |= {"epoch": epoch + 1} | {f"val_{name}": value for name, value in validated.items()}
    row["learning_rate"] = float(keras.ops.convert_to_numpy(network.optimizer.learning_rate))
    row["seconds"] = time.perf_counter() - began
    return {name: row[name] if name == "epoch" else float(row[name]) for name in HISTORY}


def _say(rows: list[dict], epochs: int) -> None:
    row = rows[-1]
    left = sum(past["seconds"] for past in rows) / len(rows) * (epochs - len(rows))
    print(
        f"epoch {row['epoch']} of {epochs}: loss {row['loss']:.4f}, accuracy {row['accuracy']:.4f}, validation loss "
        f"{row['val_loss']:.4f}, accuracy {row['val_accuracy']:.4f}, {row['seconds']:.0f} s, {left:.0f} s left"
    )
