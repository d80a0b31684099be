"""MLflow runs: begun, gone on with after a kill, by a later stage or from files, found again, and their receipts."""

import contextlib
import platform
from collections.abc import Iterator

import mlflow
from mlflow import MlflowClient
from mlflow.entities import LifecycleStage, Run, RunStatus
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import RESOURCE_DOES_NOT_EXIST, ErrorCode
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID

from pipeline.core.environment import TRACKING
from pipeline.core.errors import UserError
from pipeline.tracking import logged_models, provenance, store
from pipeline.tracking.attempts import Attempt

ENDED = RunStatus.to_string(RunStatus.FINISHED)  # of a run that was not cut short
RESTORED = "restored.from"  # tag: the run that was told again
RESTORING = "restoring"  # tag: the same, until all is told; a kill may leave it beside the other


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
    with _ending(mlflow.start_run(run_id=find(run_id).info.run_id)) as run:
        if "ended" in run.data.tags:
            mlflow.delete_tag("ended")  # of a try that failed
        mlflow.set_tags(provenance.git(f"{stage.partition('@')[0]}."))
        yield run


@contextlib.contextmanager
def child(parent: str, name: str, tags: dict[str, str]) -> Iterator[mlflow.ActiveRun]:
    """A run below the run with the id `parent`, in its experiment; those of the same name there are deleted.

    Raises UserError if the store has no such parent.
    """
    above, client = find(parent), MlflowClient()
    for old in _tagged(MLFLOW_PARENT_RUN_ID, above.info.run_id):
        if old.info.run_name == name:
            client.delete_run(old.info.run_id)
    tags = {"host": platform.node(), MLFLOW_PARENT_RUN_ID: above.info.run_id} | tags
    begun = client.create_run(above.info.experiment_id, tags=tags, run_name=name)
    with _ending(mlflow.start_run(run_id=begun.info.run_id)) as run:
        yield run


@contextlib.contextmanager
def restore(receipt: dict) -> Iterator[mlflow.ActiveRun]:
    """A run as its receipt says it was, tagged as restored; the block adds what files know."""
    client = MlflowClient()
    for half in _tagged(RESTORING, receipt["run_id"]):  # of a try that was interrupted
        logged_models.delete(half)
        client.delete_run(half.info.run_id)
    tags = {key: value for key, value in receipt["tags"].items() if key not in ("attempt", RESTORED)}
    tags |= {RESTORING: receipt["run_id"]} | provenance.git("restored.")
    experiment = store.open_experiment(receipt["experiment"])
    begun = client.create_run(experiment, receipt["started"], tags, receipt["name"])
    with _ending(mlflow.start_run(run_id=begun.info.run_id)) as run:
        mlflow.log_params(receipt["params"])
        yield run
    store.tag(run.info.run_id, RESTORED, receipt["run_id"])
    with store.answering():
        client.delete_tag(run.info.run_id, RESTORING)


def find(run_id: str) -> Run:
    """The run of a receipt, or what `pipeline restore` made of it. Raises UserError if there is neither."""
    run = look_for(run_id)
    if run is None:
        raise UserError(
            f"the store {mlflow.get_tracking_uri()} has no run {run_id}: point {TRACKING} at the store that has it, or "
            "tell it again from the files with `pipeline restore`"
        )
    return run


def look_for(run_id: str) -> Run | None:
    """As `find`, or None. A run that was deleted is not there, nor is one that is half restored."""
    run = known(run_id)
    if run and run.info.lifecycle_stage == LifecycleStage.ACTIVE:
        return run
    return next(iter(_tagged(RESTORED, run_id)), None)


def known(run_id: str) -> Run | None:
    """The run of this very id, deleted ones too; None if the store never had it."""
    try:
        return MlflowClient().get_run(run_id)
    except MlflowException as error:
        if error.error_code == ErrorCode.Name(RESOURCE_DOES_NOT_EXIST):
            return None
        raise store.failed(error) from error


def _tagged(tag: str, run_id: str) -> list[Run]:
    query = f"tags.`{tag}` = '{run_id}'"
    return mlflow.search_runs(search_all_experiments=True, filter_string=query, output_format="list")


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
            raise store.failed(error) from error
        raise
    with store.answering():
        mlflow.end_run()


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
        "tags": {key: tag for key, tag in run.data.tags.items() if key != RESTORING and not key.startswith("mlflow.")},
    }
