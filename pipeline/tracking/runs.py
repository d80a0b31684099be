"""MLflow runs of the stages: found by what they made, and made."""

import contextlib
import platform
from collections.abc import Iterator

import mlflow
from mlflow import MlflowClient
from mlflow.entities import Run, RunStatus
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import RESOURCE_DOES_NOT_EXIST, ErrorCode
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID

from pipeline.core.environment import TRACKING
from pipeline.core.errors import UserError
from pipeline.tracking import store

STAGE, INPUTS, ATTEMPT = "dvc.stage", "inputs", "attempt"  # tags; inputs: SHA-256 of what the stage was made of
FINGERPRINT = "model.fingerprint"  # tag, set when the run has all: of the Keras model that it logged
ENDED = "ended"  # tag: why a run was cut short
FINISHED, RUNNING, KILLED, FAILED = (
    RunStatus.to_string(status)
    for status in (RunStatus.FINISHED, RunStatus.RUNNING, RunStatus.KILLED, RunStatus.FAILED)
)


def tagged(tags: dict[str, str]) -> list[Run]:
    """Return the runs, of all experiments, that have these tags, the newest first.

    Raises UserError if the store fails.
    """
    query = " and ".join(f"tags.`{key}` = '{value}'" for key, value in tags.items())
    with store.answering():
        return mlflow.search_runs(
            search_all_experiments=True,
            filter_string=query,
            order_by=["attributes.start_time DESC"],
            output_format="list",
        )


def complete(stage: str, fingerprint: str) -> Run | None:
    """Return the newest run of a stage that has all of the model of this fingerprint; None if the store has none."""
    return next(iter(tagged({STAGE: stage, FINGERPRINT: fingerprint})), None)


def require(stage: str, fingerprint: str) -> Run:
    """Return the run that `complete` finds. Raises UserError if there is none."""
    run = complete(stage, fingerprint)
    if run is None:
        raise UserError(
            f"the store {mlflow.get_tracking_uri()} has no run of {stage} with the model that is here: `pipeline "
            f"restore` tells it from the files, or point {TRACKING} at the store that has it"
        )
    return run


def get(run_id: str) -> Run | None:
    """Return the run of this id, deleted ones too; None if the store never had it."""
    try:
        return MlflowClient().get_run(run_id)
    except MlflowException as error:
        if error.error_code == ErrorCode.Name(RESOURCE_DOES_NOT_EXIST):
            return None
        raise store.failed(error) from error


@contextlib.contextmanager
def child(parent: Run, name: str, tags: dict[str, str]) -> Iterator[str]:
    """Yield the id of a new run below `parent`, in its experiment; those of the same name there are deleted.

    It ends FINISHED, or FAILED after an error. Raises UserError if the store fails.
    """
    client = MlflowClient()
    with store.answering():
        for old in tagged({MLFLOW_PARENT_RUN_ID: parent.info.run_id}):
            if old.info.run_name == name:
                client.delete_run(old.info.run_id)
        tags = {"host": platform.node(), MLFLOW_PARENT_RUN_ID: parent.info.run_id} | tags
        run_id = client.create_run(parent.info.experiment_id, tags=tags, run_name=name).info.run_id
        try:
            yield run_id
        except BaseException:
            with contextlib.suppress(MlflowException):
                client.set_terminated(run_id, FAILED)
            raise
        client.set_terminated(run_id)
