"""MLflow runs: one an architecture and one for the ensemble. Files are the truth; this tells MLflow what happened."""

import contextlib
import json
import os
import shlex
from collections.abc import Iterator
from pathlib import Path

import mlflow
import numpy as np
from mlflow import MlflowClient
from mlflow.data.http_dataset_source import HTTPDatasetSource
from mlflow.data.numpy_dataset import NumpyDataset
from mlflow.entities import Run
from mlflow.exceptions import MlflowException
from sqlalchemy.exc import SQLAlchemyError

from pipeline.core import files, paths
from pipeline.core.environment import TRACKING
from pipeline.core.errors import UserError
from pipeline.core.schema import Ensemble, Network, Params, Section, Training, Trunk
from pipeline.core.schema import Model as Architecture

SQLITE, DATABASE, ARTIFACTS = "sqlite:///", "mlflow.db", "artifacts"
# Each metric of an epoch, and its column in the history.
EPOCH = {"epoch_seconds": "seconds"}
EPOCH |= {name: name for name in ("loss", "accuracy", "val_loss", "val_accuracy", "learning_rate")}


def connect(params: Params) -> None:
    """Point MLflow at the store, and make the experiment at the first use.

    Raises UserError if the store does not answer, or has been moved.
    """
    mlflow.set_tracking_uri(os.environ.get(TRACKING) or f"{SQLITE}{paths.shared(paths.STORE).resolve()}/{DATABASE}")
    store = _folder()
    try:
        # Two processes that make a new store at once would clash.
        with files.alone(store / ".lock") if store else contextlib.nullcontext():
            open_experiment(params.tracking.experiment)
    except (MlflowException, SQLAlchemyError, ImportError) as error:  # ImportError: of the driver of a database
        raise failed(error) from None
    mlflow.set_system_metrics_sampling_interval(params.tracking.system_metrics_interval)


def open_experiment(name: str) -> str:
    """Id of the experiment that runs are logged to from now on, made at the first use.

    Raises UserError if the store has been moved since that.
    """
    store = _folder()
    if store and mlflow.get_experiment_by_name(name) is None:
        mlflow.create_experiment(name, artifact_location=(store / ARTIFACTS).as_uri())
    found = mlflow.set_experiment(name)
    place = found.artifact_location
    if (
        store
        and place.startswith("file:")
        and place.endswith(f"/{ARTIFACTS}")
        and place != (store / ARTIFACTS).as_uri()
    ):
        raise UserError(
            f"{store} was {place.removeprefix('file://').removesuffix(f'/{ARTIFACTS}')} when it was made: "
            f"`pipeline relocate {shlex.quote(str(store))}` mends a store that was moved"
        )
    return found.experiment_id


def _folder() -> Path | None:
    """Where the store's database lies, and the artifacts beside it; None if it is no file of SQLite's."""
    place = mlflow.get_tracking_uri().partition("?")[0].partition(SQLITE)[2]
    return Path(place).resolve().parent if place else None


def failed(error: Exception) -> UserError:
    """What to tell the user about a store that does not do what it is asked."""
    return UserError(f"the MLflow store {mlflow.get_tracking_uri()} failed: {error}"[:400])


@contextlib.contextmanager
def answering() -> Iterator[None]:
    """Within the block, a store that fails is a UserError."""
    try:
        yield
    except MlflowException as error:
        raise failed(error) from error


def log_params(params: Params, model: Architecture | None, votes: dict[str, float] | None = None) -> None:
    """Log flattened params: the same names for every architecture and the ensemble, `none` where one does not apply.

    `model`: the architecture's entry; None for the ensemble, whose members' weights `votes` are logged besides.
    """
    sections = {
        "data": params.data.model_dump(exclude={"sources": True, "subset": {"test"}}),
        "compute": params.compute.model_dump(),
        "trunk": _fields(Trunk, model and model.trunk),
        "network": _fields(Network, model and model.network),
        "training": _fields(Training, model and model.training),
        "ensemble": params.ensemble.model_dump() if votes else _fields(Ensemble, None),
    }
    mlflow.log_params({"seed": params.seed} | flatten(sections))
    mlflow.log_params({f"ensemble.weight.{name}": weight for name, weight in (votes or {}).items()})


def _fields(section: type[Section], values: Section | None) -> dict:
    return values.model_dump() if values else dict.fromkeys(section.model_fields, "none")


def flatten(nested: dict, prefix: str = "") -> dict[str, str]:
    """{"a": {"b": 1}} to {"a.b": "1"}."""
    flat = {}
    for key, value in nested.items():
        name = f"{prefix}{key}"
        flat |= flatten(value, f"{name}.") if isinstance(value, dict) else {name: str(value)}
    return flat


def log_epoch(row: dict) -> None:
    """Log a row of the history as metrics of that epoch, unless the run has them: it was killed and goes on.

    An epoch's metrics are written together, so that one of them tells of all.
    """
    if row["epoch"] not in dict(points(mlflow.active_run().info.run_id, "loss")):
        mlflow.log_metrics({metric: row[column] for metric, column in EPOCH.items()}, step=row["epoch"])


def points(run_id: str, metric: str) -> list[tuple[int, float]]:
    """Step and value of a metric of a run, each time that it was logged. Raises UserError if the store fails."""
    with answering():
        return [(point.step, point.value) for point in MlflowClient().get_metric_history(run_id, metric)]


def log_settings(values: dict[str, str]) -> None:
    """Log params of the active run."""
    mlflow.log_params(values)


def log_metrics(metrics: dict[str, float]) -> None:
    mlflow.log_metrics(metrics)


def log_tags(tags: dict[str, str]) -> None:
    mlflow.set_tags(tags)


def tag(run_id: str, key: str, value: str) -> None:
    """Set a tag of a run that has ended. Raises UserError if the store fails."""
    with answering():
        MlflowClient().set_tag(run_id, key, value)


def log_json(name: str, value: dict, run_id: str) -> None:
    """Write an artifact of a run that has ended. Raises UserError if the store fails."""
    with answering():
        MlflowClient().log_text(run_id, json.dumps(value, indent=2) + "\n", name)


def log_file(file: Path, run_id: str) -> None:
    """Log a file as an artifact at the top of a run that has ended. Raises UserError if the store fails."""
    with answering():
        MlflowClient().log_artifact(run_id, str(file))


def artifact(run_id: str, name: str, folder: Path) -> Path | None:
    """Fetch an artifact of a run into `folder`; None if the run has no such file.

    Raises UserError if the store fails.
    """
    try:
        if name not in [file.path for file in MlflowClient().list_artifacts(run_id)]:
            return None
        return Path(mlflow.artifacts.download_artifacts(run_id=run_id, artifact_path=name, dst_path=str(folder)))
    except (MlflowException, OSError) as error:
        raise failed(error) from error


def log_files(*files: Path) -> None:
    """Log files as artifacts at the top of the run."""
    for file in files:
        mlflow.log_artifact(str(file))


def log_scores(split: str, scores: dict[str, float]) -> None:
    """Log figures of one split, as `test_accuracy` and so on."""
    mlflow.log_metrics({f"{split}_{name}": value for name, value in scores.items()})


def log_dataset(folder: Path, images: np.ndarray, labels: np.ndarray, context: str) -> None:
    """Record which images a run saw, and for what."""
    mlflow.log_input(_dataset(folder, images, labels), context=context)


def datasets(run: Run) -> dict[str, str]:
    """MLflow's digest of each data set that a run saw, by its name."""
    return {seen.dataset.name: seen.dataset.digest for seen in run.inputs.dataset_inputs}


def dataset(folder: Path, images: np.ndarray, labels: np.ndarray) -> tuple[str, str]:
    """Name and digest of a data set, as `datasets` has them."""
    made = _dataset(folder, images, labels)
    return made.name, made.digest


def _dataset(folder: Path, images: np.ndarray, labels: np.ndarray) -> NumpyDataset:
    source = HTTPDatasetSource("https://www.cs.toronto.edu/~kriz/cifar.html")  # wherever it came from, it is that one
    return mlflow.data.from_numpy(images, source, targets=labels, name=f"cifar10-{folder.name}")
