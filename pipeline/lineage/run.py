"""A run compared with the files: the dry run of stage `track`."""

import hashlib
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import mlflow
from mlflow import MlflowClient
from mlflow.entities import Run

from pipeline.core import paths
from pipeline.core.files import checksum, read_json
from pipeline.lineage import model
from pipeline.lineage.link import Broken, Line
from pipeline.tracking import runs, store, stream
from pipeline.tracking import view as views
from pipeline.tracking.view import VALIDATION, View

CONTEXT = "mlflow.data.context"  # tag of a data set: what it was used for
PROBABILITIES = "validation.npy"  # artifact


def verify(run: Run, depth: int = 0) -> Iterator[Line]:
    """Yield lines about a run of stage `train` or `ensemble`, whose parts are what the files say, and its members.

    If the files are of another model by now, it is compared with itself alone: its model and probabilities are those
    that its tags name. Raises Broken at the first part that differs.
    """
    run_id, name = run.info.run_id, run.data.tags.get(runs.STAGE, "").rpartition("@")[2]
    link = f"run {run_id}"
    if run.info.status != runs.FINISHED:
        raise Broken(link, f"it is {run.info.status}: `dvc repro`, or `pipeline restore`")
    yield Line(depth, f"{link}: {run.info.run_name}, {_made(run)}")
    address = model.verify(run, link)
    yield Line(depth + 1, f"model: {address}, fingerprint {run.data.tags[runs.FINGERPRINT][:12]}")
    with tempfile.TemporaryDirectory() as folder:
        found = store.artifact(run_id, PROBABILITIES, Path(folder))
        if found is None or checksum(found) != run.data.tags.get(VALIDATION):
            raise Broken(f"{link}, artifact {PROBABILITIES}", f"it is not that of tag {VALIDATION}")
    if not is_here(name, run.data.tags[runs.FINGERPRINT]):
        yield Line(depth + 1, "files: of another model by now, not compared")
        return
    shown = views.of(name)
    for part in (_tags, _params, _metrics, _epochs, _datasets, _artifacts):
        yield from part(run, shown, link, depth + 1)
    if name == "ensemble":
        for member in read_json(paths.VOTE)["weights"]:
            yield from verify(member_run(member), depth + 1)


def is_here(name: str, fingerprint: str) -> bool:
    """Return whether the files of a candidate are of the model with this fingerprint."""
    facts = paths.candidate(name) / "model.json"
    return facts.is_file() and read_json(facts).get("fingerprint") == fingerprint


def member_run(name: str) -> Run:
    """Return the run of a candidate that is here. Raises UserError if the store has none, or it was skipped."""
    return runs.of(name)


def _made(run: Run) -> str:
    tags = run.data.tags
    said = [f"commit {tags[key][:10]}" for key in ("git.commit",) if key in tags]
    said += ["with changes that were not committed"] if tags.get("git.changed") == "true" else []
    said += [f"on {tags['device']} in {tags.get('precision', '')}"] if "device" in tags else []
    return ", ".join(said) or "made from files"


def _tags(run: Run, shown: View, link: str, depth: int) -> Iterator[Line]:
    # Inputs may be others, which gave the same model. What is the machine's is that of the last training.
    for key in (runs.STAGE, VALIDATION):
        if run.data.tags.get(key) != shown.tags[key]:
            raise Broken(f"{link}, tag {key}", f"{run.data.tags.get(key)} in the store, {shown.tags[key]} in the files")
    same = run.data.tags.get(runs.INPUTS) == shown.inputs
    yield Line(
        depth, f"inputs {shown.inputs}{'' if same else ', trained from others with the same result'}", detail=True
    )


def _params(run: Run, shown: View, link: str, depth: int) -> Iterator[Line]:
    if run.data.tags.get(runs.INPUTS) == shown.inputs:
        _same(run.data.params, shown.params, f"{link}, param", lambda key: key)
    yield Line(depth, f"params: {len(shown.params)}")


def _metrics(run: Run, shown: View, link: str, depth: int) -> Iterator[Line]:
    measured = {key: value for key, value in shown.metrics.items() if key not in volatile()}
    _same(run.data.metrics, measured, f"{link}, metric", lambda key: f"metrics/{shown.name}.json: {key}")
    yield Line(depth, f"figures: {len(measured)}, test accuracy {shown.metrics['test_accuracy']:.4f}")
    yield from (Line(depth + 1, f"{key} {value}", detail=True) for key, value in measured.items())


def volatile() -> set[str]:
    """Return the metrics that are others each time: those of records/."""
    found: set[str] = set()
    for record in paths.RECORDS.rglob("*.json"):
        found |= read_json(record).keys()
    return found


def _same(stored: Mapping[str, object], expected: Mapping[str, object], link: str, where: Callable[[str], str]) -> None:
    for key, value in expected.items():
        if stored.get(key) != value:
            raise Broken(f"{link} {key}", f"{stored.get(key)} in the store, {value} in {where(key)}")


def _epochs(run: Run, shown: View, link: str, depth: int) -> Iterator[Line]:
    if not shown.epochs:
        return
    for key in stream.EPOCH:
        points = [(point.step, point.value) for point in MlflowClient().get_metric_history(run.info.run_id, key)]
        expected = {int(row["epoch"]): row[key] for row in shown.epochs}
        if len(points) != len(dict(points)):
            raise Broken(f"{link}, metric {key}", "the store has two values of an epoch")
        for epoch in sorted(expected.keys() | dict(points).keys()):
            if (stored := dict(points).get(epoch)) != expected.get(epoch):
                file = paths.HISTORY / f"{shown.name}.csv"
                values = f"{stored} in the store, {expected.get(epoch)} in {file}"
                raise Broken(f"{link}, metric {key} of epoch {epoch}", values)
    yield Line(depth, f"epochs: {len(shown.epochs)}")


def _datasets(run: Run, shown: View, link: str, depth: int) -> Iterator[Line]:
    stored = {
        used.dataset.name: (used.dataset.digest, next((tag.value for tag in used.tags if tag.key == CONTEXT), None))
        for used in run.inputs.dataset_inputs
    }
    for dataset, role in shown.datasets():
        if stored.get(dataset.name) != (dataset.digest, role):
            raise Broken(f"{link}, data set {dataset.name}", f"{stored.get(dataset.name)} in the store, it is another")
        yield Line(depth, f"data set {dataset.name}, digest {dataset.digest}, for {role}", detail=True)


def _artifacts(run: Run, shown: View, link: str, depth: int) -> Iterator[Line]:
    with tempfile.TemporaryDirectory() as folder:
        names = {file.path for file in MlflowClient().list_artifacts(run.info.run_id)}
        for name in shown.artifacts:
            if name not in names:
                raise Broken(f"{link}, artifact {name}", "it is missing: `pipeline restore`")
        fetched = Path(mlflow.artifacts.download_artifacts(run_id=run.info.run_id, dst_path=folder))
        for name, content in shown.artifacts.items():
            if name == "inputs.json":  # of the training that logged the run
                continue
            if (fetched / name).read_bytes() != content:
                raise Broken(f"{link}, artifact {name}", "it is not that of the files: `pipeline restore`")
            yield Line(depth + 1, f"artifact {name} {hashlib.sha256(content).hexdigest()}", detail=True)
    yield Line(depth, f"artifacts: {len(shown.artifacts)}, as the files")
