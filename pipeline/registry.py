"""The MLflow model registry: who is champion."""

import warnings

import mlflow
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from pipeline import tracking

ALIAS, STAGE = "champion", "Production"
DESCRIPTION = "CIFAR-10: uint8 images (N, 32, 32, 3) to probabilities (N, 10)"
warnings.filterwarnings("ignore", message=".*[Mm]odel registry stages.*")  # kept in step with the alias, on purpose


def promote(name: str, model_uri: str, description: str, tags: dict[str, str]) -> dict:
    """Make a logged model the champion of the registered model `name`.

    It becomes a new version, unless it is one already; gets alias `champion` and stage `Production`; the version that
    had them goes to `Archived`. Returns {"version": ..., "previous": ... or None}, both as strings.
    Raises UserError if the store does not have that model or fails.
    """
    try:
        return _promote(name, model_uri, description, tags)
    except MlflowException as error:
        raise tracking.failed(error) from error


def _promote(name: str, model_uri: str, description: str, tags: dict[str, str]) -> dict:
    client = MlflowClient()
    if not client.search_registered_models(f"name = '{name}'"):
        client.create_registered_model(name, description=DESCRIPTION)
    previous = client.get_registered_model(name).aliases.get(ALIAS)
    versions = client.search_model_versions(f"name = '{name}'")
    version = next((known for known in versions if known.tags.get("model_uri") == model_uri), None)
    if version is None:
        version = mlflow.register_model(model_uri, name, tags=tags | {"model_uri": model_uri})
    for key, value in tags.items():
        client.set_model_version_tag(name, version.version, key, value)
    client.update_model_version(name, version.version, description)
    client.transition_model_version_stage(name, version.version, STAGE, archive_existing_versions=True)
    client.set_registered_model_alias(name, ALIAS, version.version)
    same = previous is None or str(previous) == str(version.version)
    return {"version": str(version.version), "previous": None if same else str(previous)}
