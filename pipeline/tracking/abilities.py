"""What the store, the registry and the artifacts' place must be able to do, tried before hours of work."""

import contextlib
import os
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path

import mlflow
import sqlalchemy
from alembic.migration import MigrationContext
from mlflow import MlflowClient
from mlflow.entities import Experiment
from mlflow.environment_variables import MLFLOW_HTTP_REQUEST_MAX_RETRIES
from mlflow.exceptions import MlflowException
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

from pipeline.core import environment
from pipeline.core.errors import UserError

TRIED = ".writable"  # a file in the artifacts' place
PATIENCE = 6  # times params.tracking.timeout: until it must be written


def check_databases() -> None:
    """Raise UserError if the tables of a database on a server are those of another MLflow than the installed one.

    MLflow would bring older ones up to its own, unasked. Raises SQLAlchemyError at once if the server refuses, where
    MLflow tries for minutes.
    """
    for place in (environment.tracking_uri(), environment.registry_uri()):
        if place.partition(":")[0].partition("+")[0] in environment.DATABASES:
            with sqlalchemy.create_engine(place).connect() as connection:
                revision = MigrationContext.configure(connection).get_current_revision()
            remedy = "copy it, and then run `mlflow db upgrade` with its address"
            environment.check_revision(f"the store {place}", revision, remedy)


def require(experiment: Experiment, timeout: float) -> None:
    """Raise UserError unless logged models, versions and artifacts can be had there. `timeout`: of params.tracking."""
    client, place, registry = MlflowClient(), experiment.artifact_location, mlflow.get_registry_uri()
    store = mlflow.get_tracking_uri()
    _try(f"the store {store} has no logged models", lambda: client.search_logged_models([experiment.experiment_id]))
    _try(f"the registry {registry} cannot be read", client.search_registered_models)
    _try(f"the artifact store {place} takes no file", lambda: _write(place, timeout * PATIENCE))
    if registry != store and registry.startswith(environment.SERVERS):
        there = MlflowClient(registry).get_experiment_by_name(experiment.name)
        if there is None or (there.creation_time, there.artifact_location) != (experiment.creation_time, place):
            why = f"the registry server {registry} registers no models of another store, as {store} is"
            raise UserError(f"{why}: set {environment.REGISTRY} to the store's address, or unset it")


def _try(fault: str, request: Callable[[], object]) -> None:
    """Make a request once, where MLflow would try for minutes. Raises UserError if it fails."""
    name = MLFLOW_HTTP_REQUEST_MAX_RETRIES.name
    before = os.environ.get(name)
    os.environ[name] = "0"
    try:
        request()
    except Exception as error:  # of boto3, say
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"{fault} ({reason}): mend it, or set {environment.TRACKING} to another store") from None
    finally:
        del os.environ[name]
        os.environ |= {name: before} if before else {}


def _write(place: str, timeout: float) -> None:
    """Write a small file to `place`, and delete it. Raises what the store raises, or TimeoutError."""
    failures: list[Exception] = []

    def attempt() -> None:
        try:
            with tempfile.TemporaryDirectory() as folder:
                Path(folder, TRIED).write_text("tried whether it can be written\n")
                get_artifact_repository(place).log_artifact(str(Path(folder, TRIED)))
        except Exception as error:
            failures.append(error)

    thread = threading.Thread(target=attempt, daemon=True)  # libraries of other stores try for minutes, too
    thread.start()
    thread.join(timeout)
    if thread.is_alive():
        raise TimeoutError(f"no answer in {timeout:g} s")
    if failures:
        raise failures[0]
    with contextlib.suppress(MlflowException, NotImplementedError):  # it may stay: the next time it is the same one
        get_artifact_repository(place).delete_artifacts(TRIED)
