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

from pipeline.core import connection, environment, errors, files
from pipeline.core.schema import Params
from pipeline.tracking import abilities

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


def connect(params: Params, write: bool = True) -> str:
    """Point MLflow at the store, and return the id of the experiment, which is made at the first use.

    `write`: or else nothing is made, and the id is empty if there is none. Raises UserError if the driver of a database
    is missing, if the store has been moved, is not there to be read, has had its experiment deleted, or cannot do what
    is needed.
    """
    for name in IGNORED:
        os.environ.pop(name, None)
    if registry := environment.registry_uri():
        print(f"{environment.REGISTRY}: versions are in {errors.one_line(registry)}", file=sys.stderr)
    mlflow.set_tracking_uri(environment.tracking_uri())
    mlflow.set_registry_uri(registry)
    mlflow.set_system_metrics_sampling_interval(params.tracking.system_metrics_interval)
    try:
        abilities.check_databases()
        experiment = _experiment(params.tracking.experiment, write)
    except ImportError as error:  # of the driver
        raise errors.UserError(failed(error)) from None
    if write and environment.is_remote():
        abilities.require(experiment, params.tracking.timeout)
    return str(experiment.experiment_id) if experiment else ""


def _experiment(name: str, write: bool) -> Experiment | None:
    database = environment.store_file(environment.tracking_uri())
    if database is None:
        if not write:
            return mlflow.get_experiment_by_name(name)
        _require_undeleted(name)
        return mlflow.set_experiment(name)
    artifacts = (database.parent / environment.ARTIFACTS).as_uri()
    if write:
        with files.alone(database.parent / ".lock"):  # two processes that make a new store at once would clash
            if _require_undeleted(name) is None:
                mlflow.create_experiment(name, artifact_location=artifacts)
            mlflow.set_experiment(name)
    elif not database.is_file():
        raise errors.UserError(f"{database} does not exist: `dvc repro` makes it, `pipeline restore` fills a lost one")
    experiment = mlflow.get_experiment_by_name(name)
    place = experiment.artifact_location if experiment else ""
    if place.startswith("file:") and place.endswith(f"/{environment.ARTIFACTS}") and place != artifacts:
        was, now = place.removeprefix("file://").removesuffix(f"/{environment.ARTIFACTS}"), str(database.parent)
        remedy = f"`pipeline relocate {shlex.quote(now)}` mends a store that was moved"
        raise errors.UserError(f"{now} was {was} when it was made: {remedy}")
    return experiment


def _require_undeleted(name: str) -> Experiment | None:
    """Return the experiment, if there is one. Raises UserError if it was deleted."""
    found = mlflow.get_experiment_by_name(name)
    if found and found.lifecycle_stage == LifecycleStage.DELETED:
        store = f"{environment.TRACKING}={shlex.quote(mlflow.get_tracking_uri())}"
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
