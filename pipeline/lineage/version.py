"""A registered version, verified: it is of its run, and was decided on as it says."""

from collections.abc import Iterator
from typing import Any

from mlflow.entities import Run
from mlflow.entities.model_registry import ModelVersion

from pipeline.core import paths
from pipeline.core.files import read_json
from pipeline.lineage import Broken, Line, compare
from pipeline.registry import journal, versions
from pipeline.registry.standing import Standing
from pipeline.tracking import logged_models, provenance, runs


def verify(version: ModelVersion) -> Iterator[Line]:
    """Yield lines about a version: model, figures, decision and history. Raises Broken at the first that differs."""
    link = f"{version.name} version {version.version}"
    yield Line(0, f"{link}, {standing(version)}")
    found = Standing.of(version.name)
    if found.lost != str(version.version):  # or else its source is no more what was promoted, which says more
        _require_marks(found)
    yield Line(1, f"candidate: {_of_run(version, run_of(version), link)}")
    _require_marks(found)
    if found.journal.deleted:
        raise Broken(f"{version.name}, history", "it was deleted in MLflow: `pipeline restore` brings it back")
    yield from _decision(version, link, found.entries)
    if number := journal.changed(version.name):
        raise Broken(f"{version.name}, history", f"entry {number} is not what it was when the next one was written")
    yield Line(1, f"history: {len(found.entries)} entries")
    yield from _registry(version, link, found.entries)


def _require_marks(found: Standing) -> None:
    if wrong := "; ".join(found.misplaced().values()):
        remedy = "`pipeline restore` enters it in the history, or puts it back"
        raise Broken(f"{found.model}, champion or challenger", f"{wrong}: {remedy}")


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


def _of_run(version: ModelVersion, run: Run, link: str) -> str:
    """Return candidate and figures of a version, whose model is that of its run. Raises Broken if something is not."""
    address = logged_models.model_uri(run)
    if version.source != address:
        raise Broken(f"{link}, source", f"{version.source}, but its run logged {address}")
    served, logged = logged_models.served(version), logged_models.place(address)
    if served != logged:
        raise Broken(f"{link}, location", f"who loads it gets {served}, but its run logged {logged}")
    name = run.data.tags.get(runs.STAGE, "").rpartition("@")[2]
    scores = {key: run.data.metrics.get(key, float("nan")) for key in version.tags if key.startswith(versions.SCORES)}
    figures = {key: f"{value:.6f}" for key, value in scores.items()}
    whose = {"candidate": name, runs.FINGERPRINT: run.data.tags.get(runs.FINGERPRINT, "none")}
    for key, value in (whose | figures).items():
        if version.tags.get(key) != value:
            raise Broken(f"{link}, tag {key}", f"{version.tags.get(key)}, but its run has {value}")
    return ", ".join([name, *(f"{key} {value}" for key, value in figures.items())])


def _decision(version: ModelVersion, link: str, history: list[dict[str, Any]]) -> Iterator[Line]:
    """What the gate decided, and by what, is what it was then. A version that no gate has seen has none."""
    decision, recorded = versions.evidence(version.run_id), version.tags.get(versions.EVIDENCE)
    entered = {entry.get("evidence") for entry in history if entry["to"] == str(version.version)}
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


def _registry(version: ModelVersion, link: str, history: list[dict[str, Any]]) -> Iterator[Line]:
    """registry.json says of this version what the version does, if it is of the same model and decision."""
    if not paths.REGISTRY.is_file():
        yield Line(1, f"{paths.REGISTRY}: nothing was decided here")
        return
    registry = read_json(paths.REGISTRY, "tags", "version", "history")
    if any(registry["tags"].get(key) != version.tags.get(key) for key in (*versions.OWN, versions.EVIDENCE)):
        yield Line(1, f"{paths.REGISTRY} tells of another decision")
        return
    if provenance.digest(registry.get("gate")) != version.tags.get(versions.EVIDENCE):
        raise Broken(f"{paths.REGISTRY}, gate", f"it is not what {link} says")
    entries, digest = registry["history"]["entries"], registry["history"]["sha256"]
    restored = history and history[0]["action"] == "restore"  # begun anew, since the store had been lost
    if not restored and journal.hashes(version.name)[entries : entries + 1] != [digest]:
        raise Broken(f"{version.name}, history", f"entry {entries} is not the one that {paths.REGISTRY} tells of")
    line = Line(1, f"{paths.REGISTRY}: as the version")
    yield from compare(line, f"{link}, tag", version.tags, registry["tags"], paths.REGISTRY)
