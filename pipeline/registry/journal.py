"""The append-only history of a registered model, in the MLflow store itself, so that each backend has it.

It is one MLflow run, whose params `000001`, `000002` and so on are its entries: a param is written once, and logging it
with another value is refused. Adding entry n + 1 is thus a compare-and-swap: of two who add at once one succeeds. Each
entry has the SHA-256 of the one before it, so that one that was changed behind MLflow's back is found.
"""

import hashlib
import json
import re
import uuid

from mlflow import MlflowClient
from mlflow.entities import LifecycleStage, ViewType
from mlflow.exceptions import MlflowException

from pipeline.core.errors import UserError

ENTRY = re.compile("[0-9]{6}")  # key of a param
BEFORE = "before"  # key of an entry: SHA-256 of the one before it; of the first: of nothing


class Conflict(Exception):
    """Someone else has added an entry meanwhile."""


def read(model: str) -> list[dict]:
    """The entries, oldest first. Raises UserError if one of them is damaged."""
    return [_parsed(model, number, text) for number, text in enumerate(_texts(model), 1)]


def append(model: str, seen: list[dict], entry: dict) -> None:
    """Add an entry after those `seen`. Raises Conflict if there are more by now."""
    texts = _texts(model)
    if len(texts) != len(seen):
        raise Conflict
    before = _hash(texts[-1] if texts else "")
    text = json.dumps(entry | {BEFORE: before, "id": uuid.uuid4().hex})  # two people's entries are never the same
    try:
        MlflowClient().log_param(_run(model), f"{len(seen) + 1:06}", text)
    except MlflowException as error:
        if error.error_code != "INVALID_PARAMETER_VALUE":
            raise
        raise Conflict from None


def hashes(model: str) -> list[str]:
    """SHA-256 of nothing, and of each entry, oldest first."""
    return [_hash(text) for text in ["", *_texts(model)]]


def changed(model: str) -> int | None:
    """The number of the first entry that is not the one that the next was written after; None if there is none."""
    for number, (entry, before) in enumerate(zip(read(model), hashes(model), strict=False)):
        if entry.get(BEFORE) != before:
            return max(number, 1)  # nothing comes before the first
    return None


def _texts(model: str) -> list[str]:
    params = MlflowClient().get_run(_run(model)).data.params
    return [params[number] for number in sorted(params) if ENTRY.fullmatch(number)]


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _parsed(model: str, number: int, text: str) -> dict:
    try:
        entry = json.loads(text)
        if not {"time", "who", "action", "from", "to", "why"} <= entry.keys():
            raise ValueError("it lacks something")
        if not all(isinstance(value, str | None) for value in entry.values()):
            raise ValueError("it has something else than text")
    except (ValueError, AttributeError, RecursionError) as error:
        raise UserError(f"entry {number} of the history of {model} is damaged in the store: {error}") from None
    return entry


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
    found = client.search_runs([experiment.experiment_id], "", ViewType.ALL, order_by=["attributes.start_time"])
    if not found:
        raise UserError(f"experiment {name} of the store has lost its run, and with it the history: delete it, too")
    run = found[0].info
    if run.lifecycle_stage != LifecycleStage.ACTIVE:
        command = f"runs restore --run-id {run.run_id}"
        if experiment.lifecycle_stage != LifecycleStage.ACTIVE:
            command = f"experiments restore --experiment-id {experiment.experiment_id}"
        raise UserError(f"the history of {model} was deleted: `mlflow {command}` brings it back")
    return run.run_id
