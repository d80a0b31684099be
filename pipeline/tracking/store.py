"""The MLflow store: opened, its failures turned into one line, and its artifacts fetched."""

import logging
import os
import re
import shlex
import sys
from pathlib import Path

import mlflow
from mlflow import MlflowClient
from mlflow.entities import Experiment, LifecycleStage
from mlflow.exceptions import MlflowException
from requests import RequestException
from sqlalchemy.exc import SQLAlchemyError

from pipeline.core import connection, errors, files, paths
from pipeline.core.environment import TRACKING
from pipeline.core.schema import Params

SQLITE, DATABASE, ARTIFACTS = "sqlite:///", "mlflow.db", "artifacts"
# A run is made or resumed by what the files say, and complete when a call returns, whatever the surroundings want.
IGNORED = (
    "MLFLOW_RUN_ID",
    "MLFLOW_RUN_CONTEXT",  # tags of each run, its parent among them
    "MLFLOW_ACTIVE_MODEL_ID",  # the logged model that metrics belong to
    "_MLFLOW_ACTIVE_MODEL_ID",
    "MLFLOW_ENABLE_ASYNC_LOGGING",
)
FAILURES = (MlflowException, SQLAlchemyError, RequestException)  # of a store that does not do what it is asked
logging.getLogger("mlflow.store.db.utils").disabled = True  # it prints a traceback of what is told in a line, too
logging.getLogger("mlflow.system_metrics").setLevel(logging.ERROR)  # of a store that is away, `stream` warns once


def failed(error: Exception) -> str:
    """Return the message for a failure of the store."""
    return f"the MLflow store {mlflow.get_tracking_uri()} failed: {reason(error)}"[:400]


def reason(error: Exception) -> str:
    """Return why the store failed: the cause, if it is a request that did, or what MLflow says."""
    cause: BaseException | None = error
    while cause and not isinstance(cause, RequestException):
        cause = cause.__cause__ or cause.__context__
    # SQLAlchemy adds the statement, and an address.
    return connection.reason(cause) if cause else re.split(r"\s\[SQL: |\s\(Background on this error", str(error))[0]


errors.MENDABLE |= dict.fromkeys(FAILURES, failed)


def connect(params: Params) -> str:
    """Point MLflow at the store, and return the id of the experiment, which is made at the first use.

    Raises UserError if the driver of its database is missing, if it has been moved, or the experiment deleted.
    """
    for name in IGNORED:
        os.environ.pop(name, None)
    if registry := os.environ.get("MLFLOW_REGISTRY_URI"):
        print(f"MLFLOW_REGISTRY_URI: versions are in {errors.one_line(registry)}", file=sys.stderr)
    mlflow.set_tracking_uri(os.environ.get(TRACKING) or f"{SQLITE}{paths.shared(paths.STORE).resolve()}/{DATABASE}")
    mlflow.set_system_metrics_sampling_interval(params.tracking.system_metrics_interval)
    name, database = params.tracking.experiment, mlflow.get_tracking_uri().partition("?")[0].partition(SQLITE)[2]
    if not database:
        try:
            _require_undeleted(name)
            return str(mlflow.set_experiment(name).experiment_id)
        except ImportError as error:  # of the driver
            raise errors.UserError(failed(error)) from None
    folder = Path(database).resolve().parent
    artifacts = (folder / ARTIFACTS).as_uri()
    with files.alone(folder / ".lock"):  # two processes that make a new store at once would clash
        if _require_undeleted(name) is None:
            mlflow.create_experiment(name, artifact_location=artifacts)
        experiment = mlflow.set_experiment(name)
    place = experiment.artifact_location
    if place.startswith("file:") and place.endswith(f"/{ARTIFACTS}") and place != artifacts:
        raise errors.UserError(
            f"{folder} was {place.removeprefix('file://').removesuffix(f'/{ARTIFACTS}')} when it was made: "
            f"`pipeline relocate {shlex.quote(str(folder))}` mends a store that was moved"
        )
    return str(experiment.experiment_id)


def _require_undeleted(name: str) -> Experiment | None:
    """Return the experiment, if there is one. Raises UserError if it was deleted."""
    found = mlflow.get_experiment_by_name(name)
    if found and found.lifecycle_stage == LifecycleStage.DELETED:
        store = f"{TRACKING}={shlex.quote(mlflow.get_tracking_uri())}"
        restored = f"`{store} mlflow experiments restore --experiment-id {found.experiment_id}` brings it back"
        raise errors.UserError(
            f"the MLflow experiment {name} was deleted: {restored}, or name another one in params.yaml"
        )
    return found


def artifact(run_id: str, name: str, folder: Path) -> Path | None:
    """Fetch an artifact of a run into `folder`; None if the run has no such file. Raises as `fetch`."""
    if name not in [file.path for file in MlflowClient().list_artifacts(run_id)]:
        return None
    return fetch(folder, run_id=run_id, artifact_path=name)


def fetch(folder: Path, **source: str) -> Path:
    """Fetch files of the store into `folder`. `source`: arguments of `mlflow.artifacts.download_artifacts`.

    Raises MlflowException if the store fails, OSError if the disk does.
    """
    try:
        return Path(mlflow.artifacts.download_artifacts(**source, dst_path=str(folder)))
    except OSError as error:
        if error.errno:  # a full disk, say, which is not the store's
            raise
        raise MlflowException(str(error)) from error
