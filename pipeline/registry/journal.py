"""The append-only history of a registered model, in the MLflow store itself, so that each backend has it.

It is one MLflow run, whose params `000001`, `000002` and so on are its entries: a param is written once, and logging it
with another value is refused. Adding entry n + 1 is thus a compare-and-swap: of two who add at once one succeeds. Each
entry has the SHA-256 of the one before it, so that one that was changed behind MLflow's back is found. Reading makes
nothing: a history that was never begun has no entries, and one whose run was deleted is read all the same.
"""

import hashlib
import json
import re
import uuid
from dataclasses import dataclass

from mlflow import MlflowClient
from mlflow.entities import Experiment, LifecycleStage, Run, ViewType
from mlflow.exceptions import MlflowException

from pipeline.core.errors import UserError, note

ENTRY = re.compile("[0-9]{6}")  # key of a param
BEFORE = "before"  # key of an entry: SHA-256 of the one before it; of the first: of nothing
FOLLOWED = "followed"  # tag of the run: number of the entries that alias and stage have followed


class Conflict(Exception):
    """Someone else has added an entry meanwhile."""


@dataclass(frozen=True)
class Journal:
    """The history at one moment."""

    entries: list[dict]  # oldest first
    followed: int  # number of the entries that alias and stage have followed
    deleted: bool  # in MLflow, which keeps it until it collects what was deleted


def look(model: str) -> Journal:
    """Return the history. Raises UserError if an entry is damaged."""
    _, run = _find(model)
    if run is None:
        return Journal([], 0, False)
    entries = [_parsed(model, number, text) for number, text in enumerate(_texts(run), 1)]
    return Journal(entries, int(run.data.tags.get(FOLLOWED, 0)), run.info.lifecycle_stage != LifecycleStage.ACTIVE)


def read(model: str) -> list[dict]:
    """Return the entries, oldest first. Raises UserError if one of them is damaged."""
    return look(model).entries


def append(model: str, seen: list[dict], entry: dict) -> None:
    """Add an entry after those `seen`. Raises Conflict if there are more by now."""
    _, run = _find(model)
    texts = _texts(run)
    if len(texts) != len(seen):
        raise Conflict
    before = _hash(texts[-1] if texts else "")
    text = json.dumps(entry | {BEFORE: before, "id": uuid.uuid4().hex})  # two people's entries are never the same
    try:
        MlflowClient().log_param(begin(model), f"{len(seen) + 1:06}", text)
    except MlflowException as error:
        if error.error_code != "INVALID_PARAMETER_VALUE":
            raise
        raise Conflict from None


def hashes(model: str) -> list[str]:
    """SHA-256 of nothing, and of each entry, oldest first."""
    _, run = _find(model)
    return [_hash(text) for text in ["", *_texts(run)]]


def changed(model: str) -> int | None:
    """The number of the first entry that is not the one that the next was written after; None if there is none."""
    for number, (entry, before) in enumerate(zip(read(model), hashes(model), strict=False)):
        if entry.get(BEFORE) != before:
            return max(number, 1)  # nothing comes before the first
    return None


def follow(model: str, entries: int) -> None:
    """Record that alias and stage have followed so many entries."""
    MlflowClient().set_tag(begin(model), FOLLOWED, entries)


def _texts(run: Run | None) -> list[str]:
    params = run.data.params if run else {}
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


def _find(model: str) -> tuple[Experiment | None, Run | None]:
    """Return the journal's experiment and its run, deleted or not."""
    client = MlflowClient()
    experiment = client.get_experiment_by_name(f"{model}-history")
    where, order = [experiment.experiment_id] if experiment else [], ["attributes.start_time"]
    return experiment, next(iter(client.search_runs(where, "", ViewType.ALL, order_by=order) if where else []), None)


def begin(model: str) -> str:
    """Return the id of the journal's run, which is made at the first use, and restored if it was deleted."""
    experiment, run = _find(model)
    if experiment is None or run is None:
        return _make(model, experiment)
    if run.info.lifecycle_stage != LifecycleStage.ACTIVE:
        if experiment.lifecycle_stage != LifecycleStage.ACTIVE:
            MlflowClient().restore_experiment(experiment.experiment_id)  # and its runs
        else:
            MlflowClient().restore_run(run.info.run_id)
        note(f"the history of {model} was deleted in MLflow, and is restored")
    return str(run.info.run_id)


def _make(model: str, lost: Experiment | None) -> str:
    """Make the journal's run; return its id. Its experiment gets its name, which is unique, when it has the run.

    `lost`: the experiment that has the name and no run, since MLflow has collected it.
    """
    client, name = MlflowClient(), f"{model}-history"
    if lost:
        if lost.lifecycle_stage != LifecycleStage.ACTIVE:
            client.restore_experiment(lost.experiment_id)
        client.rename_experiment(lost.experiment_id, f"{name}-lost-{lost.experiment_id}")
        note(f"the history of {model} was deleted in MLflow for good: a new one begins")
    begun = client.create_experiment(f"{name}-{uuid.uuid4().hex}")
    made = client.create_run(begun, run_name="history").info.run_id
    client.set_terminated(made)
    try:
        client.rename_experiment(begun, name)
    except MlflowException:
        client.delete_experiment(begun)
        _, run = _find(model)
        if run is None:  # it was not that someone else has made it meanwhile
            raise
        made = run.info.run_id
    return str(made)
