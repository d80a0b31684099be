"""Exports in MLflow: a child run for each variant, and the version that has the alias `edge`."""

from pathlib import Path
from typing import Any

from mlflow import MlflowClient
from mlflow.entities import Metric, Param, Run
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID
from mlflow.utils.time import get_current_time_millis

from pipeline.core import candidates, paths
from pipeline.core.schema import Params
from pipeline.registry import versions
from pipeline.reporting import model_card
from pipeline.tracking import logged_models, provenance, runs, store

STAGE = "export"
SETTINGS = ("candidate", "format", "precision")
DIGEST = "row.sha256"  # tag of a child run: of the row that it was made from


def parent(name: str) -> Run:
    """Return the run of a candidate. Raises UserError if the store has none of the model that is here."""
    return runs.require(paths.stage(name), candidates.facts(name)["fingerprint"])


def log(row: dict[str, Any], parent: Run) -> str:
    """Log a row of paths.EXPORTED in a child run of `parent`, unless there is one; return its id.

    It replaces the one of the same name.
    """
    name, digest = f"export-{row['format']}-{row['precision']}", provenance.digest(row)
    for known in runs.tagged({MLFLOW_PARENT_RUN_ID: parent.info.run_id, DIGEST: digest}):
        if known.info.status == runs.FINISHED:
            return str(known.info.run_id)
    tags = provenance.git() | {key: row[key] for key in ("role", "fingerprint")}
    tags |= {runs.STAGE: STAGE, "shipped": str(row["shipped"]).lower(), DIGEST: digest}
    tags["reasons"] = "; ".join(row["reasons"])[:1000] or "within all limits"
    with runs.child(parent, name, tags) as run_id:
        now = get_current_time_millis()
        MlflowClient().log_batch(
            run_id,
            metrics=[Metric(key, value, now, 0) for key, value in figures(row).items()],
            params=[Param(key, row[key]) for key in SETTINGS],
        )
        if row["file"]:
            store.log_file(Path(row["file"]), run_id)
    return run_id


def figures(row: dict[str, Any]) -> dict[str, float]:
    """Return what was measured of a row's file; nothing where there is no file."""
    return {key: value for key, value in row.items() if isinstance(value, int | float) and not isinstance(value, bool)}


def card_of(name: str) -> Path:
    """Return where the model card of an exported candidate lies, with what was measured of its files."""
    return paths.EXPORT_CARDS / f"{name}.md"


def edge(rows: list[dict[str, Any]], metrics: candidates.Metrics, params: Params) -> dict[str, Any]:
    """Give the edge model the alias, if any variant of it was shipped; return what paths.EDGE is to hold."""
    name, best = (next(row["candidate"] for row in rows if role in row["role"]) for role in ("edge", "best"))
    made = {"model": params.registry.model, "candidate": name, "alias": versions.EDGE, "version": None}
    shipped = [row for row in rows if row["candidate"] == name and row["shipped"]]
    if not shipped:
        return made | {"reason": f"no variant of {name} is within the limits"}
    figures, top = metrics[name], metrics[best]["validation"]["accuracy"]
    test = figures["test"]
    reason = (
        f"smallest model file ({figures['cost']['size_mb']:.1f} MB) of those within {params.export.margin:g} of the "
        f"best one's validation accuracy: {figures['validation']['accuracy']:.4f}, best {top:.4f}"
    )
    files = ", ".join(f"{row['format']} {row['precision']}" for row in shipped)
    description = (
        f"{name}: {reason}; shipped as {files}. Test accuracy {test['accuracy']:.4f}, 95 % interval "
        f"{test['accuracy_low']:.4f} to {test['accuracy_high']:.4f}, which decided nothing."
    )
    tags = versions.tags(name, parent(name), figures, params.registry.metric)
    made |= {"description": description, "reason": reason, "shipped": files, "tags": tags}
    return made | {"version": register(made)}


def register(made: dict[str, Any]) -> str:
    """Make the model that paths.EDGE describes the version with the alias `edge`; return its number.

    A new version gets its card as stage `promote` gives one; one that stage has registered has it.
    """
    run = parent(made["candidate"])
    address, card = logged_models.model_uri(run), card_of(made["candidate"])
    with versions.alone():
        known = versions.version_of(made["model"], address)
        description = made["description"]
        if known is None or versions.GATE not in known.tags:
            store.log_file(card, run.info.run_id)
            description = model_card.describe(description, card.read_text())
        return versions.edge(made["model"], address, description, made["tags"])
