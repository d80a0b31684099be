"""The training loop: early stopping, history. Keras only, so that any backend can run it."""

import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
import pandas as pd
from tqdm import tqdm

from pipeline.core.errors import UserError
from pipeline.core.progress import verbosity
from pipeline.core.schema import Training
from pipeline.training import checkpoint
from pipeline.training.batches import Batches
from pipeline.training.device import Device
from pipeline.training.optimizer import in_order, make_optimizer

HISTORY = ["epoch", "loss", "accuracy", "val_loss", "val_accuracy", "learning_rate", "seconds"]


@dataclass(frozen=True)
class Task:
    """What a method hands to `fit`, and how the result becomes a network for images."""

    trained: keras.Model  # what the batches are fed to: their inputs to logits (N, 10)
    network: keras.Model  # shares the trained layers: validation inputs to logits
    batches: Callable[[int], Batches]  # of an epoch, counted from 0
    validation: tuple[np.ndarray, np.ndarray]  # inputs, one-hot targets float32 (N, 10)
    factors: dict[str, float]  # by a variable's path, what its learning rate is multiplied by; 1 where there is none
    ema: float  # share that a step keeps of the moving average of the weights; 0: none
    finish: Callable[[], keras.Model]  # float32 network with the trained weights: uint8 images to logits


def fit(
    task: Task, training: Training, device: Device, on_epoch: Callable[[dict], None], state: Path | None = None
) -> pd.DataFrame:
    """Train the task's network; it ends with the weights of the epoch that had the best validation accuracy.

    With `task.ema`, those are the moving averages of the trained weights. Training stops early after
    `training.patience` epochs without a better one. `on_epoch` gets each row of the history as it comes. `state`: a
    file that keeps the last epoch; if it exists, `on_epoch` gets its rows, and training resumes after them. Returns the
    history, a row an epoch, columns HISTORY; accuracies are fractions, seconds are wall-clock. Raises UserError when
    the loss is not finite.
    """
    loss = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=training.label_smoothing)
    if device.gpus > 1 and keras.backend.backend() == "tensorflow":  # with JAX they see the whole batch anyway
        for layer in in_order(task.network):
            if isinstance(layer, keras.layers.BatchNormalization):
                layer.synchronized = True
    optimizer = make_optimizer(training, training.epochs * len(task.batches(0)), task.factors, task.ema)
    task.network.compile(loss=loss, jit_compile=device.xla)
    task.trained.compile(optimizer, loss=loss, metrics=["accuracy"], jit_compile=device.xla)
    inputs, targets = task.validation
    rows, best_weights = checkpoint.load(state, task.trained) if state else ([], [])
    for row in rows:
        on_epoch(row)
    shapes = None
    for epoch in range(len(rows), training.epochs):
        if _epochs_since_best(rows) >= training.patience:
            print(f"no better validation accuracy in {training.patience} epochs: stopping early")
            break
        began = time.perf_counter()
        batches = task.batches(epoch)
        if shapes != (shapes := keras.tree.map_structure(np.shape, batches[0])):
            # One function traced for several sizes rounds differently from one traced for a single size, which is what
            # a resumed training has. Keras traces it again when it is needed.
            task.trained.train_function = None
        row = {"epoch": epoch + 1} | _train(task.trained, batches, epoch, device)
        with _averaged(task.trained):
            logits = predict(task.network, inputs, training.batch_size)
            losses = keras.losses.categorical_crossentropy(targets, logits, True, training.label_smoothing)
            row |= {"val_loss": float(keras.ops.mean(losses)), "val_accuracy": accuracy(logits, targets)}
            if not _epochs_since_best([*rows, row]):
                best_weights = task.network.get_weights()
        row["learning_rate"] = float(keras.ops.convert_to_numpy(optimizer.learning_rate))
        row["seconds"] = time.perf_counter() - began
        rows.append({name: row[name] if name == "epoch" else float(row[name]) for name in HISTORY})
        if state:
            checkpoint.save(state, task.trained, rows, best_weights)
        on_epoch(rows[-1])
        _say(rows, training.epochs)
    task.network.set_weights(best_weights)
    return pd.DataFrame(rows, columns=HISTORY)


def _epochs_since_best(rows: list[dict]) -> int:
    """Return the number of epochs after the first one with the best validation accuracy."""
    accuracies = [row["val_accuracy"] for row in rows]
    return len(rows) - 1 - accuracies.index(max(accuracies)) if rows else 0


def predict(network: keras.Model, inputs: np.ndarray, batch_size: int) -> np.ndarray:
    """Return the outputs for all inputs, computed in whole batches, so that each can be split over several devices."""
    count, missing = len(inputs), -len(inputs) % batch_size
    if missing:
        inputs = np.concatenate([inputs, np.repeat(inputs[:1], missing, axis=0)])
    return network.predict(inputs, batch_size, verbose=0)[:count]


def accuracy(logits: np.ndarray, targets: np.ndarray) -> float:
    """Return the share of images whose highest logit is at the highest target; both are (N, 10)."""
    return float((logits.argmax(axis=1) == targets.argmax(axis=1)).mean())


def _train(network: keras.Model, batches: Batches, epoch: int, device: Device) -> dict[str, float]:
    """Train one pass over the batches; return the means of loss and accuracy over the images."""
    if device.gpus:  # steps are queued, and each batch is split over all GPUs
        figures = network.fit(_Queue(batches), epochs=1, shuffle=False, verbose=0).history
        figures = {name: values[0] for name, values in figures.items()}
    else:
        # Not Keras' `fit`: with TensorFlow, its Python generator blocks a thread of the pool that computes, which on
        # two cores leaves one of them idle for most of the time.
        steps = tqdm(
            range(len(batches)),
            f"epoch {epoch + 1}",
            unit="step",
            leave=False,
            file=sys.stdout,
            disable=verbosity() != 1,
        )
        seen = []  # figures of each batch alone; all are of one size
        for step in steps:
            seen.append(network.train_on_batch(*batches[step], return_dict=True))
            _check(seen[-1])
        figures = {name: float(np.mean([figures[name] for figures in seen])) for name in seen[0]}
    _check(figures)
    return figures


def _check(figures: dict[str, float]) -> None:
    if not np.isfinite(figures["loss"]):
        raise UserError("training diverged: the loss is NaN or infinite; lower training.learning_rate")


class _Queue(keras.utils.PyDataset):
    """Batches as Keras' `fit` takes them."""

    def __init__(self, batches: Batches):
        super().__init__()
        self._batches = batches

    def __len__(self) -> int:
        return len(self._batches)

    def __getitem__(self, step: int) -> tuple:
        return self._batches[step]


@contextlib.contextmanager
def _averaged(network: keras.Model) -> Iterator[None]:
    """Within the block, the moving averages, if the optimizer keeps any, are the network's weights."""
    if not network.optimizer.use_ema:
        yield
        return
    variables = network.trainable_variables
    own = [np.array(keras.ops.convert_to_numpy(variable)) for variable in variables]
    network.optimizer.average(variables)
    for variable in variables:
        # A copy, or JAX would give away the memory of the averages with the network's.
        variable.assign(np.array(keras.ops.convert_to_numpy(variable)))
    yield
    for variable, value in zip(variables, own, strict=True):
        variable.assign(value)


def _say(rows: list[dict], epochs: int) -> None:
    row = rows[-1]
    left = sum(past["seconds"] for past in rows) / len(rows) * (epochs - len(rows))
    print(
        f"epoch {row['epoch']} of {epochs}: loss {row['loss']:.4f}, accuracy {row['accuracy']:.4f}, validation loss "
        f"{row['val_loss']:.4f}, accuracy {row['val_accuracy']:.4f}, {row['seconds']:.0f} s, {left:.0f} s left"
    )
