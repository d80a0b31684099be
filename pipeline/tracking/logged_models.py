"""Logged models: made from a Keras model, whose they are, where they lie, what is in them."""

import tempfile
import warnings
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
from pipeline.core.files import checksum, folder_checksum
from pipeline.tracking import store

warnings.filterwarnings("ignore", message="The structure of `inputs`")  # MLflow predicts the example from a list of one
# Tags of a run: of the Keras model that it logged, of all files of that logged model, of the validation probabilities.
FINGERPRINT, FILES, VALIDATION = "model.fingerprint", "model.files", "validation.sha256"
KERAS = "data/model.keras"  # where MLflow puts the Keras file
SIGNATURE = ModelSignature(
    inputs=Schema([TensorSpec(np.dtype("uint8"), (-1, 32, 32, 3), "images")]),
    outputs=Schema([TensorSpec(np.dtype("float32"), (-1, 10), "probabilities")]),
)


def log_model(model, example: np.ndarray) -> str:
    """Log a served Keras model with its signature and an input example; return its URI, models:/m-...

    The run's tag `model.files` says what all of its files are. A run that was killed goes on with the model that it had
    begun to log, and keeps one that it had ended.
    """
    import keras
    import tensorflow as tf

    keras.config.disable_interactive_logging()  # or the prediction of the example would draw a bar into a log
    versions = {"mlflow": mlflow.__version__, "tensorflow": tf.__version__, "keras": keras.__version__}
    settings = {
        "signature": SIGNATURE,
        "input_example": example,
        "pip_requirements": [f"{package}=={version}" for package, version in versions.items()],  # guessing takes 15 s
    }
    begun = _of_run(mlflow.active_run())
    if begun is None:
        address = mlflow.tensorflow.log_model(model, name="model", **settings).model_uri
    else:
        if begun.status != LoggedModelStatus.READY:
            _finish(begun, model, settings)
        address = begun.model_uri
    with tempfile.TemporaryDirectory() as folder:
        mlflow.set_tag(FILES, folder_checksum(fetch(address, Path(folder))))
    return address


def _finish(begun: LoggedModel, model, settings: dict) -> None:
    """Do what is left of `log_model`, which would enter the model as the run's output a second time, and fail."""
    described = Model(
        artifact_path=begun.artifact_location,
        run_id=begun.source_run_id,
        model_uuid=begun.model_id,
        model_id=begun.model_id,
    )
    client, run = MlflowClient(), MlflowClient().get_run(begun.source_run_id)
    if begun.model_id not in [output.model_id for output in run.outputs.model_outputs]:
        client.log_outputs(run.info.run_id, [LoggedModelOutput(begun.model_id, 0)])
    with tempfile.TemporaryDirectory() as folder:
        mlflow.tensorflow.save_model(model, f"{folder}/model", mlflow_model=described, **settings)
        client.log_model_artifacts(begun.model_id, f"{folder}/model")
    client.finalize_logged_model(begun.model_id, LoggedModelStatus.READY)


def _of_run(run: Run) -> LoggedModel | None:
    found = mlflow.search_logged_models(
        experiment_ids=[run.info.experiment_id],
        filter_string=f"source_run_id = '{run.info.run_id}'",
        output_format="list",
    )
    return found[0] if found else None


def contents(fingerprint: str, validation: Path) -> dict[str, str]:
    """Tags by which a model of a run, and its probabilities of the validation images, are known again."""
    return {FINGERPRINT: fingerprint, VALIDATION: checksum(validation)}


def model_uri(run: Run) -> str:
    """Address of a run's logged model, models:/m-... Raises UserError if it has none."""
    found = _of_run(run)
    if found is None or found.status != LoggedModelStatus.READY:
        raise UserError(f"run {run.info.run_id} has no logged model: train again with `dvc repro --force`")
    return found.model_uri


def delete(run: Run) -> None:
    """Delete a run's logged model, if it has one."""
    if found := _of_run(run):
        MlflowClient().delete_logged_model(found.model_id)


def runs_of(fingerprint: str) -> list[Run]:
    """The runs that logged a model of this fingerprint."""
    query = f"tags.`model.fingerprint` = '{fingerprint}'"
    with store.answering():
        return mlflow.search_runs(search_all_experiments=True, filter_string=query, output_format="list")


def place(model_uri: str) -> str:
    """Where a logged model (models:/m-...) lies."""
    with store.answering():
        return MlflowClient().get_logged_model(model_uri.removeprefix("models:/")).artifact_location


def served(version: ModelVersion) -> str:
    """Where that lies which a registered version gives to whoever loads it."""
    with store.answering():
        return MlflowClient().get_model_version_download_uri(version.name, version.version)


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
        why = error
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
