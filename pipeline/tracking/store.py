"""The MLflow store: opened, its failures turned into one line, and what a run has in it read and written."""

import contextlib
import json
import logging
import os
import shlex
from collections.abc import Iterator
from pathlib import Path

import mlflow
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from sqlalchemy.exc import SQLAlchemyError

from pipeline.core import files, paths
from pipeline.core.environment import TRACKING
from pipeline.core.errors import UserError
from pipeline.core.schema import Params

SQLITE, DATABASE, ARTIFACTS = "sqlite:///", "mlflow.db", "artifacts"
logging.getLogger("mlflow.system_metrics").setLevel(logging.ERROR)  # of a store that is away, `stream` warns once


def connect(params: Params) -> str:
    """Point MLflow at the store, and return the id of the experiment, which is made at the first use.

    Raises UserError if the store does not answer, or has been moved.
    """
    mlflow.set_tracking_uri(os.environ.get(TRACKING) or f"{SQLITE}{paths.shared(paths.STORE).resolve()}/{DATABASE}")
    store = _folder()
    try:
        # Two processes that make a new store at once would clash.
        with files.alone(store / ".lock") if store else contextlib.nullcontext():
            experiment = open_experiment(params.tracking.experiment)
    except (MlflowException, SQLAlchemyError, ImportError) as error:  # ImportError: of the driver of a database
        raise failed(error) from None
    mlflow.set_system_metrics_sampling_interval(params.tracking.system_metrics_interval)
    return experiment


def open_experiment(name: str) -> str:
    """Return the id of the experiment that runs are logged to from now on, made at the first use.

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
    return str(found.experiment_id)


def _folder() -> Path | None:
    """Return where the store's database lies, and the artifacts beside it; None if it is no file of SQLite's."""
    place = mlflow.get_tracking_uri().partition("?")[0].partition(SQLITE)[2]
    return Path(place).resolve().parent if place else None


def failed(error: Exception) -> UserError:
    """Return the error to show for a store that does not do what it is asked."""
    return UserError(f"the MLflow store {mlflow.get_tracking_uri()} failed: {error}"[:400])


@contextlib.contextmanager
def answering() -> Iterator[None]:
    """Within the block, a store that fails is a UserError."""
    try:
        yield
    except MlflowException as error:
        raise failed(error) from error


def points(run_id: str, metric: str) -> list[tuple[int, float]]:
    """Return step and value of a metric of a run, each time that it was logged. Raises UserError if the store fails."""
    with answering():
        return [(point.step, point.value) for point in MlflowClient().get_metric_history(run_id, metric)]


def tag(run_id: str, key: str, value: str) -> None:
    """Set a tag of a run. Raises UserError if the store fails."""
    with answering():
        MlflowClient().set_tag(run_id, key, value)


def log_json(name: str, value: object, run_id: str) -> None:
    """Write an artifact of a run. Raises UserError if the store fails."""
    with answering():
        MlflowClient().log_text(run_id, json.dumps(value, indent=2) + "\n", name)


def log_file(file: Path, run_id: str) -> None:
    """Log a file as an artifact at the top of a run. Raises UserError if the store fails."""
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
