"""The append-only history of a registered model, in the MLflow store itself, so that each backend has it.

It is one MLflow run, whose params `000001`, `000002` and so on are its entries: a param is written once, and logging it
with another value is refused. Adding entry n + 1 is thus a compare-and-swap: of two who add at once one succeeds.
"""

import json
import uuid

from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE, ErrorCode

LONGEST = 5_000  # characters of an entry; MLflow takes 6,000


class Conflict(Exception):
    """Someone else has added an entry meanwhile."""


def read(model: str) -> list[dict]:
    """The entries, oldest first."""
    params = MlflowClient().get_run(_run(model)).data.params
    return [json.loads(params[number]) for number in sorted(params)]


def append(model: str, seen: list[dict], entry: dict) -> None:
    """Add an entry after those `seen`. Raises Conflict if there are more by now."""
    text = json.dumps(entry | {"id": uuid.uuid4().hex})  # two people's entries are never the same
    if len(text) > LONGEST:
        raise ValueError(f"an entry of {len(text)} characters: {LONGEST} at most")
    try:
        MlflowClient().log_param(_run(model), f"{len(seen) + 1:06}", text)
    except MlflowException as error:
        if error.error_code != ErrorCode.Name(INVALID_PARAMETER_VALUE):
            raise
        raise Conflict from None


def _run(model: str) -> str:
    """The journal's run, made at the first use. Its experiment gets its name, which is unique, when it has the run."""
    client, name = MlflowClient(), f"{model}-history"
    experiment = client.get_experiment_by_name(name)
    if experiment is None:
        begun = client.create_experiment(f"{name}-{uuid.uuid4().hex}")
        client.set_terminated(client.create_run(begun, run_name="history").info.run_id)
        try:
            client.rename_experiment(begun, name)
        except MlflowException:
            client.delete_experiment(begun)
            if client.get_experiment_by_name(name) is None:  # it was not that someone else has made it meanwhile
                raise
        experiment = client.get_experiment_by_name(name)
    return client.search_runs([experiment.experiment_id], order_by=["attributes.start_time"])[0].info.run_id
