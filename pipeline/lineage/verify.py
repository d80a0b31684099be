"""Where a model comes from, and what came of a stage: links of registry, runs, dvc.lock and files, verified."""

import re
from collections.abc import Iterator
from pathlib import Path

from mlflow.entities import Run
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID
from ruamel.yaml.error import YAMLError

from pipeline.core import candidates, paths
from pipeline.core.errors import UserError
from pipeline.formats import keras_archive
from pipeline.lineage import exports, files, run, version
from pipeline.lineage.link import Broken, Line
from pipeline.registry import exports as registered
from pipeline.registry import versions
from pipeline.tracking import provenance, runs
from pipeline.tracking.provenance import LOCK

CANDIDATE = ("train", "evaluate", "track")  # stages of one architecture that has a run


def trace(subject: str, model: str) -> Iterator[Line]:
    """Follow the links from `subject`, verifying each; yield a line each, as they hold.

    `subject`: a version, alias (`@champion`) or stage (`Production`) of the registered `model`; a run's id; a stage of
    dvc.lock (`train@custom_cnn`) or dvc.lock itself; a .keras file. Raises Broken at the first link that does not hold.
    Files are compared with dvc.lock before a run is with the files: a forged file must not be taken for the truth.
    """
    try:
        yield from _trace(subject, model)
    except YAMLError:
        raise Broken(str(LOCK), f"it is damaged: `pipeline mend`, or `git checkout {LOCK}`") from None
    except OSError as error:  # what should be a file is a folder, say
        raise Broken(subject, f"what lies behind it cannot be read: {error}") from None


def _trace(subject: str, model: str) -> Iterator[Line]:
    stages = provenance.locked()
    if subject == str(LOCK):
        recorded = list(files.verify(list(stages), 0))
        for name in candidates.trained():
            yield from _run(run.member_run(name).info.run_id, model)
        yield from recorded
    elif subject in stages:
        yield from _stage(subject, model)
    elif subject.endswith(".keras"):
        yield from _keras_file(Path(subject), model)
    elif re.fullmatch("[0-9a-f]{32}", subject):
        yield from _run(subject, model)
    else:
        found = versions.resolve(model, subject)
        yield from version.verify(found)
        made = version.run_of(found)
        recorded = list(_files_of(made))
        yield from run.verify(made, 1)
        yield from recorded


def _stage(name: str, model: str) -> Iterator[Line]:
    """From a stage to its run, if it has a part in one, and the run's versions; and its files."""
    kind, _, architecture = name.partition("@")
    candidate = architecture if kind in CANDIDATE else name
    recorded = list(files.verify([name], 0))
    if candidate in candidates.trained():
        yield from _run(run.member_run(candidate).info.run_id, model)
    yield from recorded


def _run(run_id: str, model: str) -> Iterator[Line]:
    """From a run to its versions; from that of an export to the run whose model was exported."""
    found = runs.get(run_id)
    if found is None:
        raise UserError(f"the store has no run {run_id}: `make ui` shows those that it has")
    if found.data.tags.get(runs.STAGE) == registered.STAGE:
        above = found.data.tags.get(MLFLOW_PARENT_RUN_ID)
        yield Line(0, f"run {run_id}: {found.info.run_name}, of the model of run {above}")
        yield from exports.verify(found)
        parent = runs.get(above) if above else None
        if parent is None or parent.data.tags.get(runs.FINGERPRINT) != found.data.tags.get("fingerprint"):
            raise Broken(f"run {run_id}, tag fingerprint", f"it is not that of run {above}")
        found = parent
    yield from run.verify(found)
    for known in versions.versions(model):
        if known.run_id == found.info.run_id:
            yield Line(0, f"registered as {model} version {known.version}, {version.standing(known)}")


def _keras_file(path: Path, model: str) -> Iterator[Line]:
    """From a model file, wherever it lies, to its run and the run's versions."""
    if not path.is_file():
        raise UserError(f"{path} does not exist: name a .keras file")
    fingerprint = keras_archive.fingerprint(path)
    yield Line(0, f"{path}: fingerprint {fingerprint}")
    found = runs.tagged({runs.FINGERPRINT: fingerprint})
    if not found:
        raise Broken(str(path), "the store has no finished run with a model of this fingerprint")
    for known in found:
        yield from _run(known.info.run_id, model)


def _files_of(made: Run) -> Iterator[Line]:
    """The files up to the decision, if they are of the run's model; up to the run's stage if nothing was decided."""
    stage = made.data.tags.get(runs.STAGE, "")
    if run.is_here(stage.rpartition("@")[2], made.data.tags.get(runs.FINGERPRINT, "")):
        decided = paths.REGISTRY.exists() or "promote" in provenance.locked()
        yield from files.verify(["promote" if decided else stage])
