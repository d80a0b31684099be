"""MLflow runs: one an architecture and one for the ensemble. Files are the truth; this tells MLflow what happened."""

import contextlib
import fcntl
import json
import os
import platform
import warnings
from collections.abc import Iterator
from pathlib import Path

import mlflow
import numpy as np
from mlflow import MlflowClient
from mlflow.data.http_dataset_source import HTTPDatasetSource
from mlflow.entities import LoggedModel, LoggedModelStatus, Run, RunStatus
from mlflow.exceptions import MlflowException
from mlflow.models import ModelSignature
from mlflow.protos.databricks_pb2 import RESOURCE_DOES_NOT_EXIST, ErrorCode
from mlflow.types import Schema, TensorSpec
from sqlalchemy.exc import SQLAlchemyError

from pipeline import lineage, paths
from pipeline.attempts import Attempt
from pipeline.errors import UserError
from pipeline.params import Ensemble, Model, Network, Params, Section, Training, Trunk
from pipeline.preflight import TRACKING

warnings.filterwarnings("ignore", message="The structure of `inputs`")  # MLflow predicts the example from a list of one
SIGNATURE = ModelSignature(
    inputs=Schema([TensorSpec(np.dtype("uint8"), (-1, 32, 32, 3), "images")]),
    outputs=Schema([TensorSpec(np.dtype("float32"), (-1, 10), "probabilities")]),
)


def connect(params: Params) -> None:
    """Point MLflow at the store, and make the experiment at the first use."""
    server, store = os.environ.get(TRACKING), paths.shared(paths.STORE).resolve()
    mlflow.set_tracking_uri(server or f"sqlite:///{store}/mlflow.db")
    try:
        with contextlib.nullcontext() if server else _alone(store):
            _open_experiment(params.tracking.experiment, None if server else (store / "artifacts").as_uri())
    except (MlflowException, SQLAlchemyError) as error:
        raise failed(error) from None
    mlflow.set_system_metrics_sampling_interval(params.tracking.system_metrics_interval)


@contextlib.contextmanager
def _alone(store: Path) -> Iterator[None]:
    """Within the block no other process opens the store: two that make a new one at once would clash."""
    store.mkdir(exist_ok=True)
    with (store / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _open_experiment(name: str, artifacts: str | None) -> None:
    if mlflow.get_experiment_by_name(name) is None:
        mlflow.create_experiment(name, artifact_location=artifacts)
    mlflow.set_experiment(name)


@contextlib.contextmanager
def start(name: str, tags: dict[str, str], attempt: Attempt | None = None) -> Iterator[mlflow.ActiveRun]:
    """The run of `attempt`, if it was interrupted, or else a new run.

    It ends FINISHED, FAILED after an error, or KILLED after Ctrl-C or SIGTERM.
    """
    tags = {"host": platform.node()} | tags
    known = None
    if attempt:
        tags["attempt"] = attempt.id
        known = _run_of(attempt.id)
        _give_up(attempt.superseded)
    if known:
        tags["resumed"] = str(int(known.data.tags.get("resumed", 0)) + 1)  # times
        print(f"going on with run {known.info.run_id}")
    run = mlflow.start_run(
        run_id=known and known.info.run_id, run_name=None if known else name, tags=tags, log_system_metrics=True
    )
    with _ending(run):
        if known and "ended" in known.data.tags:
            mlflow.delete_tag("ended")
        yield run


def _run_of(attempt: str) -> Run | None:
    found = mlflow.search_runs(filter_string=f"tags.attempt = '{attempt}'", output_format="list")
    return found[0] if found else None


def _give_up(attempt: str | None) -> None:
    """Close the run of an attempt that was killed, and that nobody will go on with."""
    run = _run_of(attempt) if attempt else None
    if run and run.info.status == RunStatus.to_string(RunStatus.RUNNING):
        MlflowClient().set_tag(run.info.run_id, "ended", "killed, and superseded after a change")
        MlflowClient().set_terminated(run.info.run_id, RunStatus.to_string(RunStatus.KILLED))


@contextlib.contextmanager
def resume(run_id: str, stage: str) -> Iterator[mlflow.ActiveRun]:
    """Go on with a run that a stage before this one ended. Raises UserError if the store has no such run."""
    try:
        run = mlflow.start_run(run_id=run_id)
    except MlflowException as error:
        if error.error_code != ErrorCode.Name(RESOURCE_DOES_NOT_EXIST):
            raise failed(error) from error
        name = stage.partition("@")[2]
        raise UserError(
            f"the store {mlflow.get_tracking_uri()} has no run {run_id}: point {TRACKING} at the store that has it, or "
            f"train again with `dvc repro --force --single-item train@{name}`"
        ) from None
    with _ending(run):
        if "ended" in run.data.tags:
            mlflow.delete_tag("ended")  # of a try that failed
        mlflow.set_tags({f"{stage.partition('@')[0]}.{key}": value for key, value in lineage.git().items()})
        yield run


@contextlib.contextmanager
def _ending(run: mlflow.ActiveRun) -> Iterator[mlflow.ActiveRun]:
    try:
        yield run
    except BaseException as error:
        killed = isinstance(error, KeyboardInterrupt)
        with contextlib.suppress(MlflowException):  # a server that has died must not hide how it ended
            mlflow.set_tag("ended", f"{type(error).__name__}: {error}"[:250])
            mlflow.end_run(RunStatus.to_string(RunStatus.KILLED if killed else RunStatus.FAILED))
        if isinstance(error, MlflowException):
            raise failed(error) from error
        raise
    mlflow.end_run()


def failed(error: Exception) -> UserError:
    """What to tell the user about a store that does not do what it is asked."""
    return UserError(f"the MLflow store {mlflow.get_tracking_uri()} failed: {error}"[:400])


def log_params(params: Params, model: Model | None, votes: dict[str, float] | None = None) -> None:
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
    """Log a row of the history as metrics of that epoch, unless the run has them: it was killed and goes on."""
    metrics = {name: value for name, value in row.items() if name != "epoch"}
    metrics["epoch_seconds"] = metrics.pop("seconds")
    mlflow.log_metrics({name: metrics[name] for name in metrics if not _has(name, row["epoch"])}, step=row["epoch"])


def _has(metric: str, step: int) -> bool:
    points = MlflowClient().get_metric_history(mlflow.active_run().info.run_id, metric)
    return any(point.step == step for point in points)


def log_metrics(metrics: dict[str, float]) -> None:
    mlflow.log_metrics(metrics)


def log_tags(tags: dict[str, str]) -> None:
    mlflow.set_tags(tags)


def log_json(name: str, value: dict, run_id: str) -> None:
    """Write an artifact of a run that has ended."""
    MlflowClient().log_text(run_id, json.dumps(value, indent=2) + "\n", name)


def get_run(run_id: str) -> Run:
    """A run of the store. Raises UserError if it is not there."""
    try:
        return MlflowClient().get_run(run_id)
    except MlflowException as error:
        raise failed(error) from error


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
    begun = _logged_model(mlflow.active_run())
    if begun and begun.status == LoggedModelStatus.READY:
        return begun.model_uri
    info = mlflow.tensorflow.log_model(
        model,
        name="model",
        model_id=begun and begun.model_id,
        signature=SIGNATURE,
        input_example=example,
        pip_requirements=[f"{package}=={version}" for package, version in versions.items()],  # guessing takes 15 s
    )
    return info.model_uri


def _logged_model(run: Run) -> LoggedModel | None:
    found = mlflow.search_logged_models(
        experiment_ids=[run.info.experiment_id],
        filter_string=f"source_run_id = '{run.info.run_id}'",
        output_format="list",
    )
    return found[0] if found else None


def receipt(run: Run) -> dict:
    """All that MLflow knows of a run but its files and its metrics' history: enough to tell a lost store again.

    run_id, name, experiment, started (ms since 1970), params, metrics (the last of each, those of the machine left
    out), tags (MLflow's own left out).
    """
    run = MlflowClient().get_run(run.info.run_id)
    return {
        "run_id": run.info.run_id,
        "name": run.info.run_name,
        "experiment": MlflowClient().get_experiment(run.info.experiment_id).name,
        "started": run.info.start_time,
        "params": run.data.params,
        "metrics": {key: value for key, value in run.data.metrics.items() if not key.startswith("system/")},
        "tags": {key: value for key, value in run.data.tags.items() if not key.startswith("mlflow.")},
    }
