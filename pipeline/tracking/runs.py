"""MLflow runs of the stages, found by what they made."""

import mlflow
from mlflow import MlflowClient
from mlflow.entities import Run
from mlflow.exceptions import MlflowException

from pipeline.core import candidates, paths
from pipeline.core.environment import TRACKING
from pipeline.core.errors import UserError

STAGE, INPUTS, ATTEMPT = "dvc.stage", "inputs", "attempt"  # tags; inputs: SHA-256 of what the stage was made of
FINGERPRINT = "model.fingerprint"  # tag, set when the run has all: of the Keras model that it logged
ENDED = "ended"  # tag: why a run was cut short
FINISHED, RUNNING, KILLED, FAILED = "FINISHED", "RUNNING", "KILLED", "FAILED"  # status, as MLflow names it


def tagged(tags: dict[str, str]) -> list[Run]:
    """Return the runs, of all experiments, that have these tags, the newest first."""
    query = " and ".join(f"tags.`{key}` = '{value}'" for key, value in tags.items())
    order = ["attributes.start_time DESC"]
    return mlflow.search_runs(filter_string=query, order_by=order, output_format="list", search_all_experiments=True)


def complete(stage: str, fingerprint: str) -> Run | None:
    """Return the newest run of a stage that has all of the model of this fingerprint; None if the store has none."""
    return next(iter(tagged({STAGE: stage, FINGERPRINT: fingerprint})), None)


def of(name: str) -> Run:
    """Return the run of a candidate's model that is here. Raises UserError if the store has none."""
    stage = paths.stage(name)
    run = complete(stage, candidates.facts(name)["fingerprint"])
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
        if error.error_code == "RESOURCE_DOES_NOT_EXIST":
            return None
        raise
