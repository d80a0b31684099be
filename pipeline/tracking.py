"""MLflow runs: one an architecture and one for the ensemble. Files are the truth; this tells MLflow what happened."""

import contextlib
import fcntl
import json
import os
import shlex
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path

import mlflow
import numpy as np
from mlflow import MlflowClient
from mlflow.data.http_dataset_source import HTTPDatasetSource
from mlflow.entities import LoggedModel, LoggedModelOutput, LoggedModelStatus, Run
from mlflow.exceptions import MlflowException
from mlflow.models import Model, ModelSignature
from mlflow.types import Schema, TensorSpec
from sqlalchemy.exc import SQLAlchemyError

from pipeline import paths
from pipeline.errors import UserError
from pipeline.preflight import TRACKING
from pipeline.schema import Ensemble, Network, Params, Section, Training, Trunk
from pipeline.schema import Model as Architecture

warnings.filterwarnings("ignore", message="The structure of `inputs`")  # MLflow predicts the example from a list of one
SQLITE, DATABASE, ARTIFACTS = "sqlite:///", "mlflow.db", "artifacts"
# Each metric of an epoch, and its column in the history.
EPOCH = {"epoch_seconds": "seconds"}
EPOCH |= {name: name for name in ("loss", "accuracy", "val_loss", "val_accuracy", "learning_rate")}
SIGNATURE = ModelSignature(
    inputs=Schema([TensorSpec(np.dtype("uint8"), (-1, 32, 32, 3), "images")]),
    outputs=Schema([TensorSpec(np.dtype("float32"), (-1, 10), "probabilities")]),
)


def connect(params: Params) -> None:
    """Point MLflow at the store, and make the experiment at the first use.

    Raises UserError if the store does not answer, or has been moved.
    """
    mlflow.set_tracking_uri(os.environ.get(TRACKING) or f"{SQLITE}{paths.shared(paths.STORE).resolve()}/{DATABASE}")
    store = _folder()
    try:
        with _alone(store) if store else contextlib.nullcontext():
            open_experiment(params.tracking.experiment)
    except (MlflowException, SQLAlchemyError) as error:
        raise failed(error) from None
    mlflow.set_system_metrics_sampling_interval(params.tracking.system_metrics_interval)


@contextlib.contextmanager
def _alone(store: Path) -> Iterator[None]:
    """Within the block no other process opens the store: two that make a new one at once would clash."""
    store.mkdir(parents=True, exist_ok=True)
    with (store / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def open_experiment(name: str) -> str:
    """Id of the experiment that runs are logged to from now on, made at the first use.

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
    return found.experiment_id


def _folder() -> Path | None:
    """Where the store's database lies, and the artifacts beside it; None if it is no file of SQLite's."""
    place = mlflow.get_tracking_uri().partition("?")[0].partition(SQLITE)[2]
    return Path(place).resolve().parent if place else None


def failed(error: Exception) -> UserError:
    """What to tell the user about a store that does not do what it is asked."""
    return UserError(f"the MLflow store {mlflow.get_tracking_uri()} failed: {error}"[:400])


def log_params(params: Params, model: Architecture | None, votes: dict[str, float] | None = None) -> None:
    """Log flattened params: the same names for every architecture and the ensemble, `none` where one does not apply.

    `model`: the architecture's entry; None for the ensemble, whose members' weights `votes` are logged besides.
    """
    sections = {
        "data": params.data.model_dump(exclude={"sources": True, "subset": {"test"}}),
        "compute": params.compute.model_dump(),
        "trunk": _fields(Trunk, model and model.trunk),
        "network": _fields(Network, model and model.network),
        "training": _fields(Training, model and model.training),
        "ensemble": params.ensemble.model_dump() if votes else _fields(Ensemble, None),
    }
    mlflow.log_params({"seed": params.seed} | flatten(sections))
    mlflow.log_params({f"ensemble.weight.{name}": weight for name, weight in (votes or {}).items()})


def _fields(section: type[Section], values: Section | None) -> dict:
    return values.model_dump() if values else dict.fromkeys(section.model_fields, "none")


def flatten(nested: dict, prefix: str = "") -> dict[str, str]:
    """{"a": {"b": 1}} to {"a.b": "1"}."""
    flat = {}
    for key, value in nested.items():
        name = f"{prefix}{key}"
        flat |= flatten(value, f"{name}.") if isinstance(value, dict) else {name: str(value)}
    return flat


def log_epoch(row: dict) -> None:
    """Log a row of the history as metrics of that epoch, unless the run has them: it was killed and goes on.

    An epoch's metrics are written together, so that one of them tells of all.
    """
    logged = MlflowClient().get_metric_history(mlflow.active_run().info.run_id, "loss")
    if row["epoch"] not in [point.step for point in logged]:
        mlflow.log_metrics({metric: row[column] for metric, column in EPOCH.items()}, step=row["epoch"])


def log_metrics(metrics: dict[str, float]) -> None:
    mlflow.log_metrics(metrics)


def log_tags(tags: dict[str, str]) -> None:
    mlflow.set_tags(tags)


def model_uri(run: Run) -> str:
    """Address of a run's logged model, models:/m-... Raises UserError if it has none."""
    logged = _logged_model(run)
    if logged is None or logged.status != LoggedModelStatus.READY:
        raise UserError(f"run {run.info.run_id} has no logged model: train again with `dvc repro --force`")
    return logged.model_uri


def delete_model(run: Run) -> None:
    """Delete a run's logged model, if it has one."""
    if logged := _logged_model(run):
        MlflowClient().delete_logged_model(logged.model_id)


def log_json(name: str, value: dict, run_id: str) -> None:
    """Write an artifact of a run that has ended."""
    MlflowClient().log_text(run_id, json.dumps(value, indent=2) + "\n", name)


def log_file(file: Path, run_id: str) -> None:
    """Log a file as an artifact at the top of a run that has ended."""
    MlflowClient().log_artifact(run_id, str(file))


def artifact(run_id: str, name: str, folder: Path) -> Path | None:
    """Fetch an artifact of a run into `folder`; None if the run has no such file."""
    try:
        if name not in [file.path for file in MlflowClient().list_artifacts(run_id)]:
            return None
        return Path(mlflow.artifacts.download_artifacts(run_id=run_id, artifact_path=name, dst_path=str(folder)))
    except MlflowException as error:
        raise failed(error) from error


def log_files(*files: Path) -> None:
    """Log files as artifacts at the top of the run."""
    for file in files:
        mlflow.log_artifact(str(file))


def log_scores(split: str, scores: dict[str, float]) -> None:
    """Log figures of one split, as `test_accuracy` and so on."""
    mlflow.log_metrics({f"{split}_{name}": value for name, value in scores.items()})


def log_dataset(folder: Path, images: np.ndarray, labels: np.ndarray, context: str) -> None:
    """Record which images a run saw, and for what."""
    source = HTTPDatasetSource("https://www.cs.toronto.edu/~kriz/cifar.html")  # wherever it came from, it is that one
    dataset = mlflow.data.from_numpy(images, source, targets=labels, name=f"cifar10-{folder.name}")
    mlflow.log_input(dataset, context=context)


def log_model(model, example: np.ndarray) -> str:
    """Log a served Keras model with its signature and an input example; return its URI, models:/m-...

    A run that was killed goes on with the model that it had begun to log, and keeps one that it had ended.
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
    begun = _logged_model(mlflow.active_run())
    if begun is None:
        return mlflow.tensorflow.log_model(model, name="model", **settings).model_uri
    if begun.status != LoggedModelStatus.READY:
        _finish(begun, model, settings)
    return begun.model_uri


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


def _logged_model(run: Run) -> LoggedModel | None:
    found = mlflow.search_logged_models(
        experiment_ids=[run.info.experiment_id],
        filter_string=f"source_run_id = '{run.info.run_id}'",
        output_format="list",
    )
    return found[0] if found else None
