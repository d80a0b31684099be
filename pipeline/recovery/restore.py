"""An empty or lost MLflow store, filled again from files: runs, models, versions, stages, aliases, exports."""

from collections.abc import Iterator
from typing import Any

from pipeline.core import candidates, paths
from pipeline.core.files import read_json
from pipeline.core.schema import Params
from pipeline.registry import exports, promotion, versions
from pipeline.registry.standing import CHAMPION
from pipeline.tracking import logged_models, runs, upload, view

DECISION_KEYS = ("model", "version", "candidate", "description", "tags", "alias", "champion", "gate")


def restore(params: Params, experiment: str) -> Iterator[str]:
    """Log what the store lacks, in the experiment of that id, and yield a line each. Doing it again adds nothing.

    Raises UserError if a file is damaged, or is not the one that its stage described.
    """
    for name in candidates.trained():
        expected = view.of(name)
        known = runs.complete(expected.stage, expected.fingerprint)
        run = upload.upload(expected, experiment, force=True)
        yield f"{name}: run {run.info.run_id} {'is there' if known else 'restored'}"
    if not paths.REGISTRY.exists():
        yield "registry: nothing was decided"
        return
    with versions.alone():
        yield _restore_version(read_json(paths.REGISTRY, *DECISION_KEYS))
    if paths.EDGE.exists():
        yield from _restore_exports(read_json(paths.EXPORTED), read_json(paths.EDGE, "model", "candidate", "version"))


def _restore_version(decision: dict[str, Any]) -> str:
    model, name, number, tags = (decision[key] for key in ("model", "candidate", "version", "tags"))
    if candidates.facts(name).get("fingerprint") != tags.get(runs.FINGERPRINT):
        return f"registry: {model} version {number} is of another model than the files: `dvc repro` decides"
    seen, leads = promotion.settle(model), decision["alias"] == CHAMPION
    known = versions.version_of(model, logged_models.model_uri(runs.of(name)))
    # Its stage is None if it was registered, and the process died.
    if known and known.current_stage != "None" and (seen.champion or not leads):
        return f"registry: {model} version {known.version} is there"
    version = versions.apply(decision, paths.MODEL_CARD)
    if leads and seen.champion:
        return f"registry: {model} version {version} restored; champion is and stays version {seen.champion}"
    why = f"restored from files, where it was version {number}"
    promotion.enter(model, "restore" if leads else "refuse", version, why, seen, tags.get(versions.EVIDENCE))
    line = f"registry: {model} version {version} restored as {decision['alias']}"
    if decision["champion"] and not leads and seen.champion is None:
        line += f"; champion {decision['champion']} is of another commit: check that out, and restore there, too"
    return line


def _restore_exports(rows: list[dict[str, Any]], edge: dict[str, Any]) -> Iterator[str]:
    fingerprints = {row["candidate"]: candidates.facts(row["candidate"]).get("fingerprint") for row in rows}
    stale = sorted({row["candidate"] for row in rows if fingerprints[row["candidate"]] != row["fingerprint"]})
    if stale:
        yield f"exports: of another model {', '.join(stale)} than the files: `dvc repro` makes them"
        return
    for row in rows:
        run_id = exports.log(row, runs.of(row["candidate"]))
        yield f"{row['candidate']}, {row['format']} {row['precision']}: run {run_id}"
    model = edge["model"]
    if edge["version"] is None:
        yield f"registry: {model} got no @{versions.EDGE}: {edge['reason']}"
    elif any(versions.EDGE in version.aliases for version in versions.versions(model)):
        yield f"registry: {model} has @{versions.EDGE}"
    else:
        yield f"registry: {model} version {exports.register(edge)} restored as @{versions.EDGE}"
