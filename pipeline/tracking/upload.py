"""MLflow brought into line with the files: what a run lacks is logged, and what it has is left alone."""

import hashlib
import platform
import tempfile
from pathlib import Path

from mlflow import MlflowClient
from mlflow.entities import DatasetInput, InputTag, Metric, Param, Run
from mlflow.utils.mlflow_tags import MLFLOW_DATASET_CONTEXT
from mlflow.utils.time import get_current_time_millis

from pipeline.core import paths
from pipeline.core.files import read_json
from pipeline.data import splits
from pipeline.tracking import logged_models, provenance, runs, store
from pipeline.tracking.stream import log_epochs
from pipeline.tracking.view import View

ARTIFACTS = "artifacts.sha256"  # tag: over the names and contents of the artifacts that were logged
BEGUN = {"logged.from": "files"}  # tag of a run that no training has streamed to
EXAMPLE = 2  # images


def upload(view: View, experiment: str, force: bool = False) -> Run:
    """Return the run of a candidate, after it has all that the view has; doing it again adds nothing.

    It is the run that has this model, else the one that training streamed its epochs to, else one that was begun here
    and cut off, else a new one in the `experiment` of that id. `force`:
    artifacts are logged again also if the run says that it has them. Raises UserError if the store fails.
    """
    with store.answering():
        run = runs.complete(view.stage, view.fingerprint) or _streamed(view) or _begun(view) or _new(view, experiment)
        _log(run, view, force)
        return MlflowClient().get_run(run.info.run_id)


def _streamed(view: View) -> Run | None:
    """Return the run that the training of this workspace has streamed to; None if there is none."""
    attempt = paths.CHECKPOINTS / view.stage / "attempt.json"
    if not attempt.exists() or (last := read_json(attempt, "id", "inputs"))["inputs"] != view.inputs:
        return None
    return next(iter(runs.tagged({runs.ATTEMPT: last["id"]})), None)


def _begun(view: View) -> Run | None:
    """Return a run that was made from the same files, and lacks something still; None if there is none."""
    found = runs.tagged(BEGUN | {runs.STAGE: view.stage, runs.INPUTS: view.inputs})
    return next((run for run in found if runs.FINGERPRINT not in run.data.tags), None)


def _new(view: View, experiment: str) -> Run:
    tags = {"host": platform.node(), runs.STAGE: view.stage, runs.INPUTS: view.inputs} | BEGUN
    return MlflowClient().create_run(experiment, view.started, tags, view.name)


def _log(run: Run, view: View, force: bool) -> None:
    client, run_id, data = MlflowClient(), run.info.run_id, run.data
    tags = view.tags if runs.INPUTS in data.tags else view.tags | {runs.INPUTS: view.inputs}
    now = get_current_time_millis()
    metrics = [Metric(key, value, now, 0) for key, value in view.metrics.items() if data.metrics.get(key) != value]
    params = [Param(key, value) for key, value in view.params.items() if key not in data.params]
    client.log_batch(run_id, metrics=metrics, params=params)
    for key, value in tags.items():
        if data.tags.get(key) != value:
            client.set_tag(run_id, key, value)
    log_epochs(run_id, view.epochs)
    _log_datasets(run, view)
    digest = provenance.digest({name: hashlib.sha256(content).hexdigest() for name, content in view.artifacts.items()})
    if force or data.tags.get(ARTIFACTS) != digest:
        with tempfile.TemporaryDirectory() as folder:
            for name, content in view.artifacts.items():
                Path(folder, name).write_bytes(content)
            client.log_artifacts(run_id, folder)
        client.set_tag(run_id, ARTIFACTS, digest)
    logged_models.log(run, view.model, splits.images(paths.VALIDATION)[:EXAMPLE])
    if runs.ENDED in data.tags:
        client.delete_tag(run_id, runs.ENDED)
    if run.info.status != runs.FINISHED:
        client.set_terminated(run_id)
    client.set_tag(run_id, runs.FINGERPRINT, view.fingerprint)  # last: it says that all is there


def _log_datasets(run: Run, view: View) -> None:
    known = {seen.dataset.name for seen in run.inputs.dataset_inputs}
    missing = [
        DatasetInput(dataset._to_mlflow_entity(), [InputTag(MLFLOW_DATASET_CONTEXT, role)])
        for dataset, role in view.datasets()
        if dataset.name not in known
    ]
    if missing:
        MlflowClient().log_inputs(run.info.run_id, missing)
