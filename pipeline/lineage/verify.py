"""Where a model comes from, and what came of a stage: links of registry, dvc.lock and files to runs, verified."""

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path

from pipeline.core import paths
from pipeline.core.errors import UserError
from pipeline.formats import keras_file
from pipeline.lineage import contents, exports, origin
from pipeline.lineage.lock import LOCK, Broken, Locked, git
from pipeline.lineage.origin import Line
from pipeline.registry import journal, promotion, versions
from pipeline.tracking import logged_models, runs, store

PARENT = "mlflow.parentRunId"  # tag: MLflow's own


def trace(subject: str, model: str) -> Iterator[Line]:
    """Follow the links from `subject`, verifying each; yield a line and how deep it is indented, as they hold.

    `subject`: a version, alias (`@champion`) or stage (`Production`) of the registered `model`; a run's id; a stage of
    dvc.lock (`train@custom_cnn`) or dvc.lock itself; a .keras file. Raises Broken at the first link that does not hold.
    """
    try:
        yield from _trace(subject, model, Locked.here())
    except OSError as error:  # what should be a file is a folder, say
        raise Broken(subject, f"what lies behind it cannot be read: {error}") from None


def _trace(subject: str, model: str, here: Locked) -> Iterator[Line]:
    if subject == str(LOCK):
        for name in ["ensemble", *(name for name in here.stages if name.startswith("train@"))]:
            yield from _stage(name, model, here)
        yield from origin.files(list(here.stages), 0, here)
    elif subject in here.stages:
        yield from _stage(subject, model, here)
    elif subject.endswith(".keras"):
        yield from _file(Path(subject), model, here)
    elif re.fullmatch("[0-9a-f]{32}", subject):
        yield from _run(subject, model, here)
    else:
        yield from _version(versions.resolve(model, subject), here)


def _stage(name: str, model: str, here: Locked) -> Iterator[Line]:
    """From a stage to its run, if it has a part in one, and the run's versions."""
    kind, _, architecture = name.partition("@")
    receipt = {}
    if kind in ("train", "evaluate", "ensemble"):
        receipt = here.json(paths.candidate(architecture or name) / "run.json")
    if "run_id" in receipt:
        yield from origin.verify(receipt["run_id"], 0, here, here)
        yield from _versions(receipt["run_id"], model)
    else:
        if receipt:
            yield 0, f"{name}: skipped: {receipt.get('reason')}"
        yield from origin.files([name], 0, here)


def _run(run_id: str, model: str, here: Locked) -> Iterator[Line]:
    """From a run to its versions; from that of an export, first to the run whose model was exported."""
    run = runs.find(run_id)
    if exported := run.data.tags.get(PARENT):
        link = f"run {run_id}"
        yield 0, f"{link}, {run.info.run_name}, {run.info.status}: of the model of run {exported}"
        if run.info.status != runs.ENDED:
            raise Broken(link, f"it is {run.info.status}")
        yield from exports.verify(run, here, link)
        if runs.find(exported).data.tags.get("model.fingerprint") != run.data.tags.get("fingerprint"):
            raise Broken(f"{link}, tag fingerprint", f"it is not that of run {exported}")
        run_id = exported
    yield from origin.verify(run_id, 0, here, here)
    yield from _versions(run_id, model)


def _file(path: Path, model: str, here: Locked) -> Iterator[Line]:
    """From a model file, wherever it lies, to its run and the run's versions."""
    if not path.is_file():
        raise UserError(f"{path} does not exist: name a .keras file")
    fingerprint = keras_file.fingerprint(path)
    yield 0, f"{path}: fingerprint {fingerprint}"
    found = [run for run in logged_models.runs_of(fingerprint) if run.info.status == runs.ENDED]
    if not found:
        raise Broken(str(path), "the store has no finished run with a model of this fingerprint")
    for run in found:
        yield from origin.verify(run.info.run_id, 1, here, here)
        yield from _versions(run.info.run_id, model)


def _versions(run_id: str, model: str) -> Iterator[Line]:
    made = runs.find(run_id).info.run_id
    for version in versions.versions(model):
        if version.run_id == made:
            yield 0, f"registered as {model} version {version.version}, {_standing(version)}"


def _version(version, here: Locked) -> Iterator[Line]:
    """From a registered version to its logged model, its run and beyond; to the history, and to what was decided."""
    link = f"{version.name} version {version.version}"
    yield 0, f"{link}, {_standing(version)}"
    marks = promotion.standing(version.name)
    if len(set(marks.values())) > 1:
        said = ", ".join(f"{mark}: {number or 'none'}" for mark, number in marks.items())
        raise Broken(f"{version.name}, champion", f"{said}; `pipeline history` puts them in step")
    run_id, address = version.tags.get("run_id"), version.tags.get("model_uri")
    if run_id is None or run_id != version.run_id:
        raise Broken(f"{link}, tag run_id", f"{run_id}, but the version is of run {version.run_id}")
    run = runs.look_for(run_id)
    if run is None:
        raise Broken(f"{link}, run", f"the store has no run {run_id}")
    if (own := contents.logged_model(run, link)) != address:
        raise Broken(f"{link}, tag model_uri", f"{address}, but its run has {own}")
    if version.source != address:
        raise Broken(f"{link}, source", f"{version.source}, but its run logged {address}")
    given, made = logged_models.served(version), logged_models.place(address)
    if given != made:
        raise Broken(f"{link}, location", f"who loads it gets {given}, but its run logged {made}")
    name = run.data.tags.get("dvc.stage", "").rpartition("@")[2]
    if version.tags.get("candidate") != name:
        raise Broken(f"{link}, tag candidate", f"{version.tags.get('candidate')}, but its run is of {name or 'none'}")
    for tag in (logged_models.FINGERPRINT, logged_models.VALIDATION):
        if version.tags.get(tag) is None or version.tags[tag] != run.data.tags.get(tag):
            raise Broken(f"{link}, tag {tag}", "it is not that of its run")
    if version.tags.get(versions.DESCRIBED) != versions.digest(version.description or ""):
        raise Broken(f"{link}, description", f"it is not that of tag {versions.DESCRIBED}")
    for lines in (_figures, _evidence, _commit):
        yield from ((1, line) for line in lines(version, run, link))
    yield from exports.verify_edge(version, here, link)
    yield from _decision(version, here, link)
    yield from origin.verify(run_id, 1, here, here)


def _figures(version, run, link: str) -> Iterator[str]:
    """The figures among the version's tags are those that its run had when it was decided on."""
    told = {key: figure for key, figure in version.tags.items() if key in run.data.metrics}
    for key, figure in told.items():
        if figure not in [versions.said(value) for _, value in store.points(run.info.run_id, key)]:
            raise Broken(f"{link}, tag {key}", f"{figure}, but its run has {versions.said(run.data.metrics[key])}")
    yield f"{len(told)} figures"


def _evidence(version, run, link: str) -> Iterator[str]:
    """What the gate decided, and by what, is what it was then. A version that no gate has seen has none."""
    decision, recorded = versions.evidence(run.info.run_id), version.tags.get(versions.DECISION)
    entered = {entry.get("evidence") for entry in journal.read(version.name) if entry["to"] == str(version.version)}
    if decision is None and recorded is None and versions.DECIDED not in version.tags and entered <= {None}:
        return
    if decision is None or versions.digest(decision) != recorded:
        raise Broken(f"{link}, artifact {versions.EVIDENCE}", f"it is not that of tag {versions.DECISION}")
    if version.tags.get(versions.DECIDED) != decision["reason"]:
        raise Broken(f"{link}, tag {versions.DECIDED}", f"it is not the reason in {versions.EVIDENCE}")
    if (None if versions.by_hand(version) else recorded) not in entered:
        again = "`dvc repro --force --single-item promote` decides again"
        raise Broken(f"{link}, tag {versions.DECISION}", f"the history has no such decision: {again}")
    yield f"gate: {decision['reason']}"


def _commit(version, run, link: str) -> Iterator[str]:
    """The commit that decided is there, and has the params that the version says."""
    commit = origin.require_commit(version.tags, link)
    changed = version.tags.get("git.changed") != "false"
    digest = hashlib.sha256(git("show", f"{commit}:{paths.PARAMS}").stdout).hexdigest()
    if not changed and version.tags.get("params.sha256", digest) != digest:
        raise Broken(f"{link}, tag params.sha256", f"{paths.PARAMS} of commit {commit} has another")
    yield f"decided at commit {commit}{', with changes that were not committed' if changed else ''}"


def _decision(version, here: Locked, link: str) -> Iterator[Line]:
    """What registry.json says: of this version all that the version does, and of the history how it was then."""
    recorded = here.outs.get(str(paths.REGISTRY))
    if not paths.REGISTRY.is_file():
        if recorded is None:
            yield 1, f"{paths.REGISTRY}: nothing was decided here"
            return
        raise Broken(str(paths.REGISTRY), f"it is missing: `git checkout {paths.REGISTRY}`, or `dvc repro`")
    if recorded is None:
        raise Broken(f"{LOCK}, promote", "there is no such stage")
    if (found := here.md5(paths.REGISTRY, recorded)[0]) != recorded:
        raise Broken(str(paths.REGISTRY), f"it has MD5 {found}, {recorded} is recorded in {LOCK}")
    decision = here.json(paths.REGISTRY)
    run_id, told = str(decision.get("run_id")), decision.get("tags", {})
    ours, made = runs.known(run_id) is not None, runs.look_for(run_id)
    yield 1, _history(decision, ours, version.name)
    # Who trains the same again gets the same model, in a run of its own.
    another_run = made is not None and made.info.run_id != version.run_id
    if another_run or told.get(logged_models.FINGERPRINT) != version.tags[logged_models.FINGERPRINT]:
        yield 1, f"{paths.REGISTRY} tells of version {decision.get('version')}"
        return
    redecided = told.get(versions.DECISION) != version.tags.get(versions.DECISION)
    restored = "restored.version" in version.tags or not ours
    others = {"run_id", versions.DESCRIBED} if restored else set()  # a restored one is described by the card of today
    for key in told.keys() - others:
        if version.tags.get(key) != told[key] and not (redecided and key not in versions.OWN):
            raise Broken(f"{link}, tag {key}", f"{version.tags.get(key)}, {told[key]} in {paths.REGISTRY}")
    if redecided:
        yield 1, f"{paths.REGISTRY} tells of another decision"
        return
    if not version.description.startswith(str(decision.get("description"))):
        raise Broken(f"{link}, description", f"it does not begin as {paths.REGISTRY} says")
    if versions.digest(decision.get("gate")) != told.get(versions.DECISION):
        raise Broken(f"{paths.REGISTRY}, gate", f"it is not what {link} says")
    yield from origin.files(["promote"], 1, here)


def _history(decision: dict, ours: bool, model: str) -> str:
    """Each entry is the one that the next was written after, and registry.json has the last one of its time."""
    if number := journal.changed(model):
        raise Broken(f"{model}, history", f"entry {number} is not what it was when the next one was written")
    told, hashes = decision.get("history", {}), dict(enumerate(journal.hashes(model)))
    if ours and hashes.get(told.get("entries")) != told.get("sha256"):
        raise Broken(f"{model}, history", f"entry {told.get('entries')} is not that of {paths.REGISTRY}")
    return f"history: {len(hashes) - 1} entries{'' if ours else f'; {paths.REGISTRY} was written by another store'}"


def _standing(version) -> str:
    aliases = ", ".join(f"@{alias}" for alias in sorted(version.aliases)) or "no alias"
    return f"{aliases}, stage {version.current_stage}"
