"""A run compared with the files: the dry run of stages `track` and `publish`."""

import hashlib
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from mlflow import MlflowClient
from mlflow.entities import LifecycleStage, Run
from mlflow.utils.mlflow_tags import MLFLOW_DATASET_CONTEXT, MLFLOW_PARENT_RUN_ID

from pipeline.core import git, paths
from pipeline.core.files import checksum, list_files, read_json
from pipeline.lineage import Broken, Line, compare, model
from pipeline.registry import exports
from pipeline.tracking import provenance, runs, store, stream, view
from pipeline.tracking.view import VALIDATION

PROBABILITIES, INPUTS = "validation.npy", "inputs.json"  # artifacts


def verify(run: Run, depth: int = 0) -> Iterator[Line]:
    """Yield lines about a run whose parts are what the files say, and the runs of its members, or of an export's model.

    If the files are of another model by now, it is compared with itself alone: its model and probabilities are those
    that its tags name. Raises Broken at the first part that differs.
    """
    link, tags = f"run {run.info.run_id}", run.data.tags
    if run.info.lifecycle_stage != LifecycleStage.ACTIVE:
        again = "`mlflow runs restore --run-id` brings it back, or `pipeline restore` what the files have of it"
        raise Broken(link, f"it was deleted in MLflow: {again}")
    if run.info.status != runs.FINISHED:
        raise Broken(link, f"it is {run.info.status}: `dvc repro`, or `pipeline restore`")
    logged = _artifacts(run)
    if tags.get(runs.STAGE) == exports.STAGE:
        above = tags.get(MLFLOW_PARENT_RUN_ID)
        yield Line(depth, f"{link}: {run.info.run_name}, of the model of run {above}")
        yield from _export(run, logged, link, depth + 1)
        parent = runs.get(above) if above else None
        if parent is None or parent.data.tags.get(runs.FINGERPRINT) != tags.get("fingerprint"):
            raise Broken(f"{link}, tag fingerprint", f"it is not that of run {above}")
        yield from verify(parent, depth)
        return
    changed = ", with changes that were not committed" if tags.get("git.changed") == "true" else ""
    device = f", on {tags['device']} in {tags.get('precision')}" if "device" in tags else ""
    commit = tags.get("git.commit", "none")
    away = f" ({why})" if (why := git.explain_missing(commit)) else ""
    yield Line(depth, f"{link}: {run.info.run_name}, commit {commit[:10]}{away}{changed}{device}")
    yield Line(depth + 1, f"model: {model.verify(run, link)}, fingerprint {tags[runs.FINGERPRINT][:12]}")
    line, recorded = Line(depth + 1, "probabilities: as its tag says"), {PROBABILITIES: tags.get(VALIDATION, "none")}
    yield from compare(line, f"{link}, artifact", logged, recorded, f"tag {VALIDATION}")
    name = of_files(run)
    if name is None:
        yield Line(depth + 1, "files: of another model by now, not compared")
        return
    yield from _candidate(run, logged, view.of(name), link, depth + 1)
    if name == "ensemble":
        for member in read_json(paths.VOTE)["weights"]:
            yield from verify(runs.of(member), depth + 1)


def of_files(run: Run) -> str | None:
    """Return the candidate of a run, if the files are of the run's model; None if they are of another one."""
    name = run.data.tags.get(runs.STAGE, "").rpartition("@")[2]
    facts = paths.candidate(name) / "model.json"
    same = facts.is_file() and read_json(facts).get("fingerprint") == run.data.tags.get(runs.FINGERPRINT)
    return name if same else None


def _artifacts(run: Run) -> dict[str, str]:
    """Return the SHA-256 of each file at the top of a run's artifacts."""
    with tempfile.TemporaryDirectory() as folder:
        fetched = store.fetch(Path(folder), run_id=run.info.run_id)
        return {file.name: checksum(file) for file in list_files(fetched) if file.is_file()}


def _candidate(run: Run, logged: dict[str, str], expected: view.View, link: str, depth: int) -> Iterator[Line]:
    """Compare tags, params, metrics, epochs, data sets and artifacts of a run of stage `train` or `ensemble`."""
    # Inputs may be others, which gave the same model. What is the machine's is that of the last training.
    same = run.data.tags.get(runs.INPUTS) == expected.inputs
    inputs = f"inputs: {expected.inputs[:12]}{'' if same else ', trained from others with the same result'}"
    records = list_files(paths.RECORDS, "**/*.json")
    volatile = {key for record in records for key in read_json(record)}  # others each time
    figures = {key: value for key, value in expected.metrics.items() if key not in volatile}
    accuracy = f"test accuracy {figures['test_accuracy']:.4f}"
    points, epochs = _epochs(run, expected, link) if expected.epochs else ({}, {})
    datasets = {dataset.name: (dataset.digest, role) for dataset, role in expected.datasets()}
    seen = {
        used.dataset.name: (used.dataset.digest, *(tag.value for tag in used.tags if tag.key == MLFLOW_DATASET_CONTEXT))
        for used in run.inputs.dataset_inputs
    }
    contents = {name: hashlib.sha256(content).hexdigest() for name, content in expected.artifacts.items()}
    contents[INPUTS] = logged.get(INPUTS, "a file")  # of the training that logged the run
    scores, history = paths.METRICS / f"{expected.name}.json", paths.HISTORY / f"{expected.name}.csv"
    tags = {key: expected.tags[key] for key in (runs.STAGE, VALIDATION)}
    parts: list[tuple[str, str, Mapping[str, object], Mapping[str, object], Path | str]] = [
        (inputs, "tag", run.data.tags, tags, "the files"),
        (f"params: {len(expected.params)}", "param", run.data.params, expected.params if same else {}, provenance.LOCK),
        (f"figures: {len(figures)}, {accuracy}", "metric", run.data.metrics, figures, scores),
        (f"epochs: {len(expected.epochs)}", "metric", points, epochs, history),
        (f"data sets: {len(datasets)}", "data set", seen, datasets, "the files"),
        (f"artifacts: {len(contents)}, as the files", "artifact", logged, contents, "the files: `pipeline restore`"),
    ]
    for heading, kind, stored, files, place in parts:
        yield from compare(Line(depth, heading), f"{link}, {kind}", stored, files, place)


def _epochs(run: Run, expected: view.View, link: str) -> tuple[dict[str, float], dict[str, float | None]]:
    """Return the metrics of each epoch, in the store and in the files, which are None where the store has more."""
    stored: dict[str, float] = {}
    for key in stream.EPOCH:
        points = [(point.step, point.value) for point in MlflowClient().get_metric_history(run.info.run_id, key)]
        if len(points) != len(dict(points)):
            raise Broken(f"{link}, metric {key}", "the store has two values of an epoch")
        stored |= {f"{key} of epoch {epoch}": value for epoch, value in points}
    files = {f"{key} of epoch {row['epoch']:.0f}": row[key] for key in stream.EPOCH for row in expected.epochs}
    return stored, dict.fromkeys(stored) | files


def _export(run: Run, logged: dict[str, str], link: str, depth: int) -> Iterator[Line]:
    """Compare settings, figures, verdict and file of an export's run with its row in the files, if that is there."""
    tags, place = run.data.tags, paths.EXPORTED
    rows = read_json(place) if place.exists() else []
    row = next((row for row in rows if provenance.digest(row) == tags.get(exports.DIGEST)), None)
    if row is None:
        yield Line(depth, f"{place} has no such export any more: its figures are not verified")
        return
    stored = tags | run.data.params | run.data.metrics | {"shipped": tags.get("shipped") == "true"}
    expected = {key: row[key] for key in (*exports.SETTINGS, *exports.figures(row), "fingerprint", "shipped")}
    line = Line(depth, f"as in {place}: {'shipped' if row['shipped'] else 'not shipped'}")
    yield from compare(line, f"{link},", stored, expected, place)
    if row["file"]:
        file = Path(row["file"])
        content = checksum(file) if file.is_file() else logged.get(file.name, "a file")
        yield from compare(Line(depth, f"file: {file}"), f"{link}, artifact", logged, {file.name: content}, file)
