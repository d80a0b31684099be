"""An empty or lost MLflow store, filled again from files: runs, models, versions, stages, aliases, exports."""

from collections.abc import Iterator
from typing import Any

from pipeline.core import candidates, paths
from pipeline.core.files import read_json
from pipeline.core.schema import Params
from pipeline.registry import exports, promotion, versions
from pipeline.reporting import model_card
from pipeline.tracking import logged_models, runs, store, upload, view

DECISION_KEYS = ("model", "version", "candidate", "description", "tags", "alias", "champion", "gate")


def restore(params: Params, experiment: str) -> Iterator[str]:
    """Log what the store lacks, in the experiment of that id, and yield a line each. Doing it again adds nothing.

    Raises UserError if a file is damaged, or is not the one that its stage described.
    """
    for name in candidates.trained():
        shown = view.of(name)
        known = runs.complete(shown.stage, shown.fingerprint)
        run = upload.upload(shown, experiment, force=True)
        yield f"{name}: run {run.info.run_id} {'is there' if known else 'restored'}"
    if not paths.REGISTRY.exists():
        yield "registry: nothing was decided"
        return
    with versions.alone():
        yield _restore_version(read_json(paths.REGISTRY, *DECISION_KEYS))
    if paths.EDGE.exists():
        yield from _restore_exports(read_json(paths.EXPORTED), read_json(paths.EDGE, "model", "candidate", "version"))


def _restore_version(decision: dict[str, Any]) -> str:
    model, name, seen = decision["model"], decision["candidate"], promotion.history(decision["model"])
    facts = candidates.facts(name)
    if facts.get("fingerprint") != decision["tags"].get(runs.FINGERPRINT):
        return (
            f"registry: {model} version {decision['version']} is of another model than the files: `dvc repro` decides"
        )
    run = runs.require(paths.stage(name), facts["fingerprint"])
    address = logged_models.model_uri(run)
    known = versions.version_of(model, address)
    if known and known.current_stage != "None":  # which it is if it was registered, and the process died
        return f"registry: {model} version {known.version} is there"
    store.log_file(paths.MODEL_CARD, run.info.run_id)
    store.log_json(versions.DECISION, decision["gate"], run.info.run_id)
    description = model_card.describe(decision["description"], paths.MODEL_CARD.read_text())
    version = versions.register(model, address, description, decision["tags"])
    why = f"restored from files, where it was version {decision['version']}"
    evidence = decision["tags"].get(versions.EVIDENCE)
    if decision["alias"] == promotion.CHAMPION:
        promotion.promote(model, version, why, seen, evidence, "restore")
    else:
        promotion.refuse(model, version, why, seen, evidence)
    said = f"registry: {model} version {version} restored as {decision['alias']}"
    if decision["champion"] and promotion.champion(model) is None:
        said += f"; champion {decision['champion']} is of another commit: check that out, and restore there, too"
    return said


def _restore_exports(rows: list[dict[str, Any]], edge: dict[str, Any]) -> Iterator[str]:
    names = {row["candidate"] for row in rows}
    made = {name: candidates.facts(name).get("fingerprint") for name in names}
    stale = sorted({row["candidate"] for row in rows if made[row["candidate"]] != row["fingerprint"]})
    if stale:
        yield f"exports: of another model {', '.join(stale)} than the files: `dvc repro` makes them"
        return
    for row in rows:
        run_id = exports.log(row, exports.parent(row["candidate"]))
        yield f"{row['candidate']}, {row['format']} {row['precision']}: run {run_id}"
    model = edge["model"]
    if edge["version"] is None:
        yield f"registry: {model} got no @{versions.EDGE}: {edge['reason']}"
    elif versions.EDGE in versions.aliases(model):
        yield f"registry: {model} has @{versions.EDGE}"
    else:
        yield f"registry: {model} version {exports.register(edge)} restored as @{versions.EDGE}"
