"""Logged models: whose they are, where they lie, the Keras file in them; params of what they are exported to."""

from pathlib import Path

import mlflow
from mlflow import MlflowClient
from mlflow.entities import Run
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException

from pipeline import tracking


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


def fetch_keras(model_uri: str, folder: Path) -> Path | None:
    """The Keras file of a logged model, fetched into `folder`; None if it is not there."""
    address = f"{place(model_uri)}/data/model.keras"
    try:
        return Path(mlflow.artifacts.download_artifacts(artifact_uri=address, dst_path=str(folder)))
    except (MlflowException, OSError):
        return None


def log_settings(values: dict[str, str]) -> None:
    """Log params of the active run."""
    mlflow.log_params(values)
