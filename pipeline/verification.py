"""Where a model comes from, and what came of a stage: links of registry, dvc.lock and files to runs, verified."""

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path

from pipeline import logged, model_file, paths, provenance, registry, runs
from pipeline.errors import UserError
from pipeline.locked import LOCK, Broken, Locked, git
from pipeline.provenance import Line

PARENT = "mlflow.parentRunId"  # tag: MLflow's own


def trace(subject: str, model: str) -> Iterator[Line]:
    """Follow the links from `subject`, verifying each; yield a line and how deep it is indented, as they hold.

    `subject`: a version, alias (`@champion`) or stage (`Production`) of the registered `model`; a run's id; a stage of
    dvc.lock (`train@custom_cnn`) or dvc.lock itself; a .keras file. Raises Broken at the first link that does not hold.
    """
    here = Locked.here()
    if subject == str(LOCK):
        for name in ["ensemble", *(name for name in here.stages if name.startswith("train@"))]:
            yield from _stage(name, model, here)
        yield from provenance.files(list(here.stages), 0, here)
    elif subject in here.stages:
        yield from _stage(subject, model, here)
    elif subject.endswith(".keras"):
        yield from _file(Path(subject), model, here)
    elif re.fullmatch("[0-9a-f]{32}", subject):
        yield from _run(subject, model, here)
    else:
        yield from _version(registry.resolve(model, subject), here)


def _stage(name: str, model: str, here: Locked) -> Iterator[Line]:
    """From a stage to its run, if it has a part in one, and the run's versions."""
    kind, _, architecture = name.partition("@")
    receipt = {}
    if kind in ("train", "evaluate", "ensemble"):
        receipt = here.json(paths.candidate(architecture or name) / "run.json")
    if "run_id" in receipt:
        yield from provenance.verify(receipt["run_id"], 0, here, here)
        yield from _versions(receipt["run_id"], model)
    else:
        if receipt:
            yield 0, f"{name}: skipped: {receipt.get('reason')}"
        yield from provenance.files([name], 0, here)


def _run(run_id: str, model: str, here: Locked) -> Iterator[Line]:
    """From a run to its versions; from that of an export, first to the run whose model was exported."""
    run = runs.find(run_id)
    if exported := run.data.tags.get(PARENT):
        link = f"run {run_id}"
        yield 0, f"{link}, {run.info.run_name}, {run.info.status}: of the model of run {exported}"
        if runs.find(exported).data.tags.get("model.fingerprint") != run.data.tags.get("fingerprint"):
            raise Broken(f"{link}, tag fingerprint", f"it is not that of run {exported}")
        run_id = exported
    yield from provenance.verify(run_id, 0, here, here)
    yield from _versions(run_id, model)


def _file(path: Path, model: str, here: Locked) -> Iterator[Line]:
    """From a model file, wherever it lies, to its run and the run's versions."""
    if not path.is_file():
        raise UserError(f"{path} does not exist: name a .keras file")
    fingerprint = model_file.fingerprint(path)
    yield 0, f"{path}: fingerprint {fingerprint}"
    found = logged.runs_of(fingerprint)
    if not found:
        raise Broken(str(path), "the store has no run with a model of this fingerprint")
    for run in found:
        yield from provenance.verify(run.info.run_id, 1, here, here)
        yield from _versions(run.info.run_id, model)


def _versions(run_id: str, model: str) -> Iterator[Line]:
    made = runs.find(run_id).info.run_id
    for version in registry.versions(model):
        if version.run_id == made:
            yield 0, f"registered as {model} version {version.version}, {_standing(version)}"


def _version(version, here: Locked) -> Iterator[Line]:
    """From a registered version to its logged model, its run and beyond."""
    link = f"{version.name} version {version.version}"
    yield 0, f"{link}, {_standing(version)}"
    marks = registry.standing(version.name)
    if len(set(marks.values())) > 1:
        said = ", ".join(f"{mark}: {number or 'none'}" for mark, number in marks.items())
        raise Broken(f"{version.name}, champion", f"{said}; `pipeline history` puts them in step")
    run_id, address = version.tags.get("run_id"), version.tags.get("model_uri")
    if run_id is None or run_id != version.run_id:
        raise Broken(f"{link}, tag run_id", f"{run_id}, but the version is of run {version.run_id}")
    run = runs.look_for(run_id)
    if run is None:
        raise Broken(f"{link}, run", f"the store has no run {run_id}")
    if logged.model_uri(run) != address:
        raise Broken(f"{link}, tag model_uri", f"{address}, but its run has {logged.model_uri(run)}")
    given, made = logged.served(version), logged.place(address)
    if given != made:
        raise Broken(f"{link}, location", f"who loads it gets {given}, but its run logged {made}")
    if version.tags.get("model.fingerprint") != run.data.tags.get("model.fingerprint"):
        raise Broken(f"{link}, tag model.fingerprint", "it is not that of its run")
    yield from ((1, line) for line in _said(version, run, here, link))
    yield from provenance.verify(run_id, 1, here, here)


def _said(version, run, here: Locked, link: str) -> Iterator[str]:
    """What the version's tags say of its figures, of registry.json, and of the commit that decided."""
    for key, metric in run.data.metrics.items():
        if version.tags.get(key, f"{metric:.6f}") != f"{metric:.6f}":
            raise Broken(f"{link}, tag {key}", f"{version.tags[key]}, but its run has {metric:.6f}")
    decision = here.json(paths.REGISTRY)
    if decision.get("model_uri") == version.tags["model_uri"]:
        for key, value in decision["tags"].items():
            if version.tags.get(key) != value:
                raise Broken(f"{link}, tag {key}", f"{version.tags.get(key)}, {value} in {paths.REGISTRY}")
    commit = provenance.require_commit(version.tags, link)
    changed = version.tags.get("git.changed") != "false"
    digest = hashlib.sha256(git("show", f"{commit}:{paths.PARAMS}").stdout).hexdigest()
    if not changed and version.tags.get("params.sha256", digest) != digest:
        raise Broken(f"{link}, tag params.sha256", f"{paths.PARAMS} of commit {commit} has another")
    yield f"decided at commit {commit}{', with changes that were not committed' if changed else ''}"


def _standing(version) -> str:
    aliases = ", ".join(f"@{alias}" for alias in sorted(version.aliases)) or "no alias"
    return f"{aliases}, stage {version.current_stage}"
