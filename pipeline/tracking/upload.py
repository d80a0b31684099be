"""MLflow brought into line with the files: what a run lacks is logged, and what it has is left alone."""

import hashlib
import platform
import tempfile
from pathlib import Path

from mlflow import MlflowClient
from mlflow.entities import DatasetInput, InputTag, Metric, Param, Run, RunTag
from mlflow.utils.mlflow_tags import MLFLOW_DATASET_CONTEXT
from mlflow.utils.time import get_current_time_millis

from pipeline.core import paths
from pipeline.core.files import read_json
from pipeline.data import splits
from pipeline.tracking import logged_models, provenance, runs
from pipeline.tracking.stream import log_epochs
from pipeline.tracking.view import View

ARTIFACTS = "artifacts.sha256"  # tag: over the names and contents of the artifacts that were logged
BEGUN = {"logged.from": "files"}  # tag of a run that no training has streamed to
EXAMPLE = 2  # images


def upload(view: View, experiment: str, force: bool = False) -> Run:
    """Return the run of a candidate, after it has all that the view has; doing it again adds nothing.

    `experiment`: id of the one in which a new run is made. `force`: artifacts are logged again also if the run says
    that it has them.
    """
    client, run = MlflowClient(), _known(view)
    if run is None:
        tags = {"host": platform.node(), runs.STAGE: view.stage, runs.INPUTS: view.inputs} | BEGUN
        run = client.create_run(experiment, view.started, tags, view.name)
    run_id, data = run.info.run_id, run.data
    now = get_current_time_millis()
    metrics = [Metric(key, value, now, 0) for key, value in view.metrics.items() if data.metrics.get(key) != value]
    params = [Param(key, value) for key, value in view.params.items() if key not in data.params]
    wanted = view.tags if runs.INPUTS in data.tags else view.tags | {runs.INPUTS: view.inputs}
    changed = [RunTag(key, value) for key, value in wanted.items() if data.tags.get(key) != value]
    client.log_batch(run_id, metrics, params, changed)
    log_epochs(run_id, view.epochs)
    seen = {used.dataset.name for used in run.inputs.dataset_inputs}
    for dataset, role in view.datasets():
        if dataset.name not in seen:
            used = DatasetInput(dataset._to_mlflow_entity(), [InputTag(MLFLOW_DATASET_CONTEXT, role)])
            client.log_inputs(run_id, [used])
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
    return client.get_run(run_id)


def _known(view: View) -> Run | None:
    """Return the run that has this model, else the one that training streamed to, else one begun here and cut off."""
    if complete := runs.complete(view.stage, view.fingerprint):
        return complete
    attempt = paths.CHECKPOINTS / view.stage / "attempt.json"
    last = read_json(attempt, "id", "inputs") if attempt.exists() else {}
    if last.get("inputs") == view.inputs and (streamed := runs.tagged({runs.ATTEMPT: last["id"]})):
        return streamed[0]
    begun = runs.tagged(BEGUN | {runs.STAGE: view.stage, runs.INPUTS: view.inputs})
    return next((run for run in begun if runs.FINGERPRINT not in run.data.tags), None)
