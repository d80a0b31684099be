"""What was exported, told to MLflow: a child run for each variant, and the version that has the alias `edge`."""

from collections.abc import Iterator
from pathlib import Path

from pipeline.core import paths
from pipeline.export import parity
from pipeline.registry import versions
from pipeline.reporting import model_card
from pipeline.tracking import logged_models, provenance, runs, store

STAGE = "export"


def log(row: dict, parent: str, restored: str | None = None) -> str:
    """Tell of a row of paths.EXPORTED in a child run of the run `parent`; return its id.

    It replaces the one of the same name. `restored`: the run that it is told again of.
    """
    tags = {key: row[key] for key in ("role", "fingerprint", "git.commit", "git.changed")}
    tags |= {"dvc.stage": STAGE, "shipped": str(row["shipped"]).lower()}
    tags["reasons"] = "; ".join(row["reasons"])[:1000] or "within all limits"
    if restored:
        tags |= {"host": "unknown"} | provenance.git("restored.")
    with runs.child(parent, f"export-{row['format']}-{row['precision']}", tags) as run:
        store.log_settings({key: row[key] for key in ("candidate", "format", "precision")})
        store.log_metrics({name: row[name] for name in parity.FIGURES if row[name] is not None})
        if row["file"]:
            store.log_files(Path(row["file"]))
    if restored:
        store.tag(run.info.run_id, runs.RESTORED, restored)  # now that all is told
    return run.info.run_id


def card_of(name: str) -> Path:
    """Where the model card of an exported candidate lies, with what was measured of its files."""
    return paths.EXPORTS / name / "model_card.md"


def register(model: str, name: str, address: str, run_id: str, description: str, tags: dict[str, str]) -> str:
    """Make the logged model of candidate `name` the version with the alias `edge`; return its number.

    A new version gets its card as stage `promote` gives one; one that stage has registered has it.
    """
    known = versions.version_of(model, address)
    if known is None or versions.DECIDED not in known.tags:
        store.log_file(card_of(name), run_id)
        description = model_card.describe(description, card_of(name).read_text())
    return versions.edge(model, address, description, tags)


def restore(rows: list[dict], edge: dict, trained: dict[str, dict]) -> Iterator[str]:
    """Tell again of rows and version, where the store lacks them; yield a line each. Doing it again adds nothing.

    `trained`: receipts of the models that are here, by name.
    """
    fingerprints = {name: receipt["fingerprint"] for name, receipt in trained.items()}
    stale = {row["candidate"] for row in rows if fingerprints.get(row["candidate"]) != row["fingerprint"]}
    if stale:
        yield f"exports: of another model {', '.join(sorted(stale))} than the files: `dvc repro` makes them"
        return
    for row in rows:
        known = runs.look_for(row["run_id"])
        if known is None:
            log(row, trained[row["candidate"]]["run_id"], row["run_id"])
        what = f"{row['candidate']}, {row['format']} {row['precision']}"
        yield f"{what}: run {row['run_id']} {'is there' if known else 'restored'}"
    yield _restore_edge(edge, trained)


def _restore_edge(edge: dict, trained: dict[str, dict]) -> str:
    model, name = edge["model"], edge["candidate"]
    if edge["version"] is None:
        return f"registry: {model} got no @{versions.EDGE}: {edge['reason']}"
    run = runs.find(trained[name]["run_id"])
    address = logged_models.model_uri(run)
    known = versions.version_of(model, address)
    if known and "edge.reason" in known.tags and versions.EDGE in versions.aliases(model):
        return f"registry: {model} version {known.version}, @{versions.EDGE}, is there"
    tags = edge["tags"] | {"run_id": run.info.run_id, "restored.version": edge["version"]}
    version = register(model, name, address, run.info.run_id, edge["description"], tags)
    return f"registry: {model} version {version} restored as @{versions.EDGE}"
