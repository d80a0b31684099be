"""A registered version, verified: it is of its run, and was decided on as it says."""

from collections.abc import Iterator

from mlflow.entities import Run
from mlflow.entities.model_registry import ModelVersion

from pipeline.core import paths
from pipeline.core.errors import UserError
from pipeline.core.files import read_json
from pipeline.lineage.link import Broken, Line
from pipeline.registry import journal, promotion, versions
from pipeline.tracking import logged_models, provenance, runs


def verify(version: ModelVersion) -> Iterator[Line]:
    """Yield lines about a version: model, figures, decision and history. Raises Broken at the first that differs."""
    link = f"{version.name} version {version.version}"
    yield Line(0, f"{link}, {standing(version)}")
    marks = promotion.standing(version.name)
    if len(set(marks.values())) > 1:
        said = ", ".join(f"{mark}: {number or 'none'}" for mark, number in marks.items())
        raise Broken(f"{version.name}, champion", f"{said}; `pipeline history` puts them in step")
    run = run_of(version)
    _model(version, run, link)
    yield Line(1, f"candidate: {version.tags['candidate']}, {_figures(version, run, link)}")
    yield from _decision(version, link)
    if number := journal.changed(version.name):
        raise Broken(f"{version.name}, history", f"entry {number} is not what it was when the next one was written")
    yield Line(1, f"history: {len(journal.read(version.name))} entries")
    yield from _file(version, link)


def run_of(version: ModelVersion) -> Run:
    """Return the run of a version. Raises Broken if the store does not have it."""
    run = runs.get(version.run_id) if version.run_id else None
    if run is None:
        raise Broken(f"{version.name} version {version.version}, run", f"the store has no run {version.run_id}")
    return run


def standing(version: ModelVersion) -> str:
    """Return the aliases and the stage of a version."""
    aliases = ", ".join(f"@{alias}" for alias in sorted(version.aliases)) or "no alias"
    return f"{aliases}, stage {version.current_stage}"


def _model(version: ModelVersion, run: Run, link: str) -> None:
    try:
        address = logged_models.model_uri(run)
    except UserError as error:
        raise Broken(f"{link}, logged model", str(error)) from None
    if version.source != address:
        raise Broken(f"{link}, source", f"{version.source}, but its run logged {address}")
    given, made = logged_models.served(version), logged_models.place(address)
    if given != made:
        raise Broken(f"{link}, location", f"who loads it gets {given}, but its run logged {made}")
    name = run.data.tags.get(runs.STAGE, "").rpartition("@")[2]
    expected = {"candidate": name, runs.FINGERPRINT: run.data.tags.get(runs.FINGERPRINT)}
    for key, value in expected.items():
        if value is None or version.tags.get(key) != value:
            raise Broken(f"{link}, tag {key}", f"{version.tags.get(key)}, but its run has {value}")


def _figures(version: ModelVersion, run: Run, link: str) -> str:
    figures = {key: value for key, value in version.tags.items() if key.startswith(versions.SCORES)}
    for key, value in figures.items():
        if value != f"{run.data.metrics.get(key, float('nan')):.6f}":
            raise Broken(f"{link}, tag {key}", f"{value}, but its run has {run.data.metrics.get(key)}")
    return ", ".join(f"{key} {value}" for key, value in figures.items())


def _decision(version: ModelVersion, link: str) -> Iterator[Line]:
    """What the gate decided, and by what, is what it was then. A version that no gate has seen has none."""
    decision, recorded = versions.evidence(version.run_id), version.tags.get(versions.EVIDENCE)
    entered = {entry.get("evidence") for entry in journal.read(version.name) if entry["to"] == str(version.version)}
    if decision is None and recorded is None and versions.GATE not in version.tags and entered <= {None}:
        return
    if decision is None or provenance.digest(decision) != recorded:
        raise Broken(f"{link}, artifact {versions.DECISION}", f"it is not that of tag {versions.EVIDENCE}")
    if version.tags.get(versions.GATE) != decision["reason"]:
        raise Broken(f"{link}, tag {versions.GATE}", f"it is not the reason in {versions.DECISION}")
    if (None if versions.by_hand(version) else recorded) not in entered:
        again = "`dvc repro --force --single-item promote` decides again"
        raise Broken(f"{link}, tag {versions.EVIDENCE}", f"the history has no such decision: {again}")
    yield Line(1, f"gate: {decision['reason']}")


def _file(version: ModelVersion, link: str) -> Iterator[Line]:
    """registry.json says of this version what the version does, if it is of the same decision."""
    if not paths.REGISTRY.is_file():
        yield Line(1, f"{paths.REGISTRY}: nothing was decided here")
        return
    told = read_json(paths.REGISTRY, "tags", "version", "history")
    if any(told["tags"].get(key) != version.tags[key] for key in versions.OWN):
        yield Line(1, f"{paths.REGISTRY} tells of version {told['version']}, another model")
        return
    if told["tags"].get(versions.EVIDENCE) != version.tags.get(versions.EVIDENCE):
        yield Line(1, f"{paths.REGISTRY} tells of another decision")
        return
    for key, value in told["tags"].items():
        if version.tags.get(key) != value:
            raise Broken(f"{link}, tag {key}", f"{version.tags.get(key)}, {value} in {paths.REGISTRY}")
    if provenance.digest(told.get("gate")) != told["tags"].get(versions.EVIDENCE):
        raise Broken(f"{paths.REGISTRY}, gate", f"it is not what {link} says")
    entered, written = told["history"]["entries"], told["history"]["sha256"]
    restored = journal.read(version.name)[0]["action"] == "restore"  # begun anew, since the store had been lost
    if not restored and journal.hashes(version.name)[entered : entered + 1] != [written]:
        raise Broken(f"{version.name}, history", f"entry {entered} is not the one that {paths.REGISTRY} tells of")
