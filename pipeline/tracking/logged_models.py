"""Logged models: made from a Keras file, found, and fetched."""

import importlib.metadata
import logging
import shutil
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
    """Return the logged model of a run, made from the Keras file `model` unless the run has one that is whole.

    `example`: images uint8 (N, 32, 32, 3), the input example. The run's tag FILES has the checksum of its files.
    """
    begun = of_run(run)
    if begun and begun.status == LoggedModelStatus.READY:
        return begun
    client = MlflowClient()
    made = begun or client.create_logged_model(run.info.experiment_id, name="model", source_run_id=run.info.run_id)
    if made.model_id not in [output.model_id for output in client.get_run(run.info.run_id).outputs.model_outputs]:
        client.log_outputs(run.info.run_id, [LoggedModelOutput(made.model_id, 0)])
    with tempfile.TemporaryDirectory() as folder:
        written = write(made, model, example, Path(folder, "model"))
        client.set_tag(run.info.run_id, FILES, folder_checksum(written))
        client.log_model_artifacts(made.model_id, str(written))
    return client.finalize_logged_model(made.model_id, LoggedModelStatus.READY)


def write(made: LoggedModel, model: Path, example: np.ndarray, folder: Path) -> Path:
    """Write what `mlflow.tensorflow.save_model` would, but with the Keras file as it is, and without TensorFlow."""
    described = Model(
        artifact_path=made.artifact_location,
        run_id=made.source_run_id,
        model_uuid=made.model_id,
        model_id=made.model_id,
    )
    data = {"data": "data", "code": None}
    tensorflow = importlib.metadata.version("tensorflow")
    described.add_flavor("tensorflow", **data, model_type="keras", keras_version=tensorflow, save_format="tf")
    requirements = [f"{name}=={importlib.metadata.version(name)}" for name in ("mlflow", "tensorflow", "keras")]
    mlflow.pyfunc.save_model(
        str(folder),
        loader_module="mlflow.tensorflow",
        data_path=str(model),
        mlflow_model=described,
        signature=SIGNATURE,
        input_example=example,
        pip_requirements=requirements,  # guessing takes 15 s
    )
    if model.name != Path(KERAS).name:
        shutil.move(folder / "data" / model.name, folder / KERAS)
    for name, content in LOADER.items():
        (folder / name).write_text(content)
    described.flavors[mlflow.pyfunc.FLAVOR_NAME] |= data  # MLflow's loader wants the folder, not the file
    described.save(str(folder / "MLmodel"))
    return folder


def of_run(run: Run) -> LoggedModel | None:
    """Return the logged model of a run, whole or not; None if it has none."""
    with store.answering():
        found = mlflow.search_logged_models(
            experiment_ids=[run.info.experiment_id],
            filter_string=f"source_run_id = '{run.info.run_id}'",
            output_format="list",
        )
    return found[0] if found else None


def model_uri(run: Run) -> str:
    """Return the address of a run's logged model, models:/m-... Raises UserError if it has none that is whole."""
    found = of_run(run)
    if found is None or found.status != LoggedModelStatus.READY:
        raise UserError(f"run {run.info.run_id} has no logged model: `pipeline restore` logs it from the files")
    return str(found.model_uri)


def place(model_uri: str) -> str:
    """Return where a logged model (models:/m-...) lies."""
    with store.answering():
        return str(MlflowClient().get_logged_model(model_uri.removeprefix("models:/")).artifact_location)


def served(version: ModelVersion) -> str:
    """Return where that lies which a registered version gives to whoever loads it."""
    with store.answering():
        return str(MlflowClient().get_model_version_download_uri(version.name, version.version))


def fetch(model_uri: str, folder: Path) -> Path:
    """The folder of a logged model, with all that MLflow would load, fetched into `folder`.

    Raises UserError if there is none.
    """
    return _fetched(place(model_uri), folder)


def fetch_served(version: ModelVersion, folder: Path) -> Path:
    """The folder that a registered version gives to whoever loads it, fetched into `folder`.

    Raises UserError if there is none, or no Keras file in it.
    """
    address, why = served(version), "it lacks one"
    try:
        fetched = _fetched(address, folder)
        if (fetched / KERAS).is_file():
            return fetched
    except UserError as error:
        why = str(error)
    name, number = version.name, version.version
    raise UserError(
        f"{name} version {number} gives no Keras file: `pipeline lineage {number}` says what is wrong ({why})"
    )


def _fetched(address: str, folder: Path) -> Path:
    try:
        return Path(mlflow.artifacts.download_artifacts(artifact_uri=address, dst_path=str(folder)))
    except OSError as error:
        if error.errno:  # a full disk, say, which is not the store's
            raise
        raise store.failed(error) from error
    except MlflowException as error:
        raise store.failed(error) from error
