"""Where a model comes from, and what came of a stage: links of registry, runs, dvc.lock and files, verified."""

import re
from collections.abc import Iterator
from pathlib import Path

from mlflow.entities import Run
from mlflow.entities.model_registry import ModelVersion
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID
from ruamel.yaml.error import YAMLError

from pipeline.core import candidates, paths
from pipeline.core.errors import UserError
from pipeline.formats import keras_archive
from pipeline.lineage import Broken, Line, files, run, version
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
        stages = provenance.locked()
        if subject == str(LOCK) or subject in stages:
            yield from _stages([*stages] if subject == str(LOCK) else [subject], model)
        elif subject.endswith(".keras"):
            yield from _keras_file(Path(subject), model)
        elif re.fullmatch("[0-9a-f]{32}", subject):
            found = runs.get(subject)
            if found is None:
                raise UserError(f"the store has no run {subject}: `make ui` shows those that it has")
            yield from _run(found, model)
        else:
            yield from _version(versions.resolve(model, subject))
    except YAMLError:
        raise Broken(str(LOCK), f"it is damaged: `pipeline mend`, or `git checkout {LOCK}`") from None
    except OSError as error:  # what should be a file is a folder, say
        raise Broken(subject, f"what lies behind it cannot be read: {error}") from None


def _stages(names: list[str], model: str) -> Iterator[Line]:
    """From stages to the runs that they have a part in, and the runs' versions; and the stages' files."""
    recorded = list(files.verify(names, 0))
    for name in candidates.trained():
        if {name, *(f"{stage}@{name}" for stage in CANDIDATE)} & {*names}:
            yield from _run(runs.of(name), model)
    yield from recorded


def _version(found: ModelVersion) -> Iterator[Line]:
    """From a version to its run; and to the files, if they are of its model: up to the decision, or the run's stage."""
    yield from version.verify(found)
    origin, recorded = version.run_of(found), []
    if run.of_files(origin):
        decided = paths.REGISTRY.exists() or "promote" in provenance.locked()
        recorded = list(files.verify(["promote" if decided else origin.data.tags[runs.STAGE]], 1))
    yield from run.verify(origin, 1)
    yield from recorded


def _run(found: Run, model: str) -> Iterator[Line]:
    """From a run, or that of an export, to the versions of its model."""
    yield from run.verify(found)
    ids = {found.info.run_id, found.data.tags.get(MLFLOW_PARENT_RUN_ID)} - {None}
    for known in versions.versions(model):
        if known.run_id in ids:
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
        yield from _run(known, model)
