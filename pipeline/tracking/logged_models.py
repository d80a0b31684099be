"""Logged models: made from a Keras file, found, and fetched."""

import importlib.metadata
import logging
import tempfile
from pathlib import Path

import mlflow
import numpy as np
from mlflow import MlflowClient
from mlflow.entities import LoggedModel, LoggedModelOutput, LoggedModelStatus, Run
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from mlflow.models import Model, ModelSignature
from mlflow.types import Schema, TensorSpec

from pipeline.core.errors import UserError
from pipeline.core.files import folder_checksum
from pipeline.tracking import store

FILES = "model.files"  # tag of a run: SHA-256 over all files of its logged model
KERAS = "data/model.keras"  # where MLflow's loader looks for the Keras file
LOADER = {"data/keras_module.txt": "tensorflow.keras", "data/save_format.txt": "tf"}  # what it reads beside that
SIGNATURE = ModelSignature(
    inputs=Schema([TensorSpec(np.dtype("uint8"), (-1, 32, 32, 3), "images")]),
    outputs=Schema([TensorSpec(np.dtype("float32"), (-1, 10), "probabilities")]),
)
logging.getLogger("mlflow.pyfunc").setLevel(logging.WARNING)


def log(run: Run, model: Path, example: np.ndarray) -> LoggedModel:
    """Return the logged model of a run, made from `model`, a file model.keras, unless the run has one that is whole.

    `example`: images uint8 (N, 32, 32, 3), the input example. The run's tag FILES has the checksum of its files.
    """
    begun = of_run(run)
    if begun and begun.status == LoggedModelStatus.READY:
        return begun
    client = MlflowClient()
    entry = begun or client.create_logged_model(run.info.experiment_id, name="model", source_run_id=run.info.run_id)
    if entry.model_id not in [output.model_id for output in client.get_run(run.info.run_id).outputs.model_outputs]:
        client.log_outputs(run.info.run_id, [LoggedModelOutput(entry.model_id, 0)])
    with tempfile.TemporaryDirectory() as folder:
        written = write(entry, model, example, Path(folder, "model"))
        client.set_tag(run.info.run_id, FILES, folder_checksum(written))
        client.log_model_artifacts(entry.model_id, str(written))
    return client.finalize_logged_model(entry.model_id, LoggedModelStatus.READY)


def write(entry: LoggedModel, model: Path, example: np.ndarray, folder: Path) -> Path:
    """Write what `mlflow.tensorflow.save_model` would, but with the Keras file as it is, and without TensorFlow."""
    described = Model(entry.artifact_location, entry.source_run_id, model_uuid=entry.model_id, model_id=entry.model_id)
    data = {"data": "data", "code": None}
    versions = {name: importlib.metadata.version(name) for name in ("mlflow", "tensorflow", "keras")}
    keras = {"model_type": "keras", "keras_version": versions["tensorflow"], "save_format": "tf"}
    described.add_flavor("tensorflow", **data, **keras)
    mlflow.pyfunc.save_model(
        str(folder),
        loader_module="mlflow.tensorflow",
        data_path=str(model),
        mlflow_model=described,
        signature=SIGNATURE,
        input_example=example,
        pip_requirements=[f"{name}=={version}" for name, version in versions.items()],  # guessing takes 15 s
    )
    for name, content in LOADER.items():
        (folder / name).write_text(content)
    described.flavors[mlflow.pyfunc.FLAVOR_NAME] |= data  # MLflow's loader wants the folder, not the file
    described.save(str(folder / "MLmodel"))
    return folder


def of_run(run: Run) -> LoggedModel | None:
    """Return the logged model of a run, whole or not; None if it has none."""
    query = f"source_run_id = '{run.info.run_id}'"
    found = mlflow.search_logged_models([run.info.experiment_id], query, output_format="list")
    return found[0] if found else None


def model_uri(run: Run) -> str:
    """Return the address of a run's logged model, models:/m-... Raises UserError if it has none that is whole."""
    found = of_run(run)
    if found is None or found.status != LoggedModelStatus.READY:
        raise UserError(f"run {run.info.run_id} has no logged model: `pipeline restore` logs it from the files")
    return str(found.model_uri)


def place(model_uri: str) -> str:
    """Return where a logged model (models:/m-...) lies."""
    return str(MlflowClient().get_logged_model(model_uri.removeprefix("models:/")).artifact_location)


def served(version: ModelVersion) -> str:
    """Return the address of the files that MLflow loads for a registered version."""
    return str(MlflowClient().get_model_version_download_uri(version.name, version.version))


def fetch_served(version: ModelVersion, folder: Path) -> Path:
    """Fetch the folder that `served` names into `folder`. Raises UserError if there is none, or no Keras file in it."""
    address, why = served(version), "it lacks one"
    try:
        fetched = store.fetch(folder, artifact_uri=address)
        if (fetched / KERAS).is_file():
            return fetched
    except MlflowException as error:
        why = store.failed(error)
    name, number = version.name, version.version
    raise UserError(f"{name} version {number} gives no Keras file: `pipeline lineage {number}` says more ({why})")
