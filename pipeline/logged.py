"""Logged models: whose they are, where they lie, the Keras file in them; params of what they are exported to."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
from mlflow import MlflowClient
from mlflow.entities import Run
from mlflow.entities.model_registry import ModelVersion
from mlflow.environment_variables import MLFLOW_SCORING_SERVER_REQUEST_TIMEOUT
from mlflow.exceptions import MlflowException
from mlflow.models import Model

from pipeline import tracking

REQUEST_TIMEOUT = 600  # seconds


def runs_of(fingerprint: str) -> list[Run]:
    """The runs that logged a model of this fingerprint."""
    query = f"tags.`model.fingerprint` = '{fingerprint}'"
    try:
        return mlflow.search_runs(search_all_experiments=True, filter_string=query, output_format="list")
    except MlflowException as error:
        raise tracking.failed(error) from error


def place(model_uri: str) -> str:
    """Where a logged model (models:/m-...) lies."""
    try:
        return MlflowClient().get_logged_model(model_uri.removeprefix("models:/")).artifact_location
    except MlflowException as error:
        raise tracking.failed(error) from error


def served(version: ModelVersion) -> str:
    """Where that lies which a registered version gives to whoever loads it."""
    try:
        return MlflowClient().get_model_version_download_uri(version.name, version.version)
    except MlflowException as error:
        raise tracking.failed(error) from error


def scoring(place: str) -> tuple[Any, Callable]:
    """The Keras model that lies in a place, and what makes MLflow's scoring server (an ASGI application) of it.

    The latter takes a function, images uint8 (N, 32, 32, 3) to probabilities (N, 10), that is asked instead of the
    model's `predict`, which sets up a data pipeline for each request. The server's limit of a request's time is raised:
    under load a request waits for those before it.
    """
    from mlflow.pyfunc import scoring_server

    MLFLOW_SCORING_SERVER_REQUEST_TIMEOUT.set(REQUEST_TIMEOUT)
    loaded = mlflow.pyfunc.load_model(place)
    return loaded.get_raw_model(), lambda predict: scoring_server.init(_Predicting(loaded.metadata, predict))


class _Predicting:
    """What MLflow's scoring server asks of a model."""

    def __init__(self, metadata: Model, predict: Callable):
        self.metadata, self._predict = metadata, predict

    def predict(self, sent: Any) -> np.ndarray:
        """`sent`: images as the server has read them, by the name of the model's input or without it."""
        images = next(iter(sent.values())) if isinstance(sent, dict) else sent
        return self._predict(np.asarray(images, "uint8"))


def fetch_keras(model_uri: str, folder: Path) -> Path | None:
    """The Keras file of a logged model, fetched into `folder`; None if it is not there."""
    return _fetch(place(model_uri), folder)


def fetch_served(version: ModelVersion, folder: Path) -> Path | None:
    """The Keras file that a registered version gives to whoever loads it, the same way."""
    return _fetch(served(version), folder)


def _fetch(address: str, folder: Path) -> Path | None:
    try:
        found = mlflow.artifacts.download_artifacts(artifact_uri=f"{address}/data/model.keras", dst_path=str(folder))
    except (MlflowException, OSError):
        return None
    return Path(found)


def log_settings(values: dict[str, str]) -> None:
    """Log params of the active run."""
    mlflow.log_params(values)
