"""Exports in MLflow: a child run for each variant, and the version that has the alias `edge`."""

import platform
from typing import Any

import mlflow
from mlflow import MlflowClient
from mlflow.entities import Run
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID, MLFLOW_RUN_NAME

from pipeline.core import candidates, paths
from pipeline.core.schema import Params
from pipeline.registry import versions
from pipeline.tracking import logged_models, provenance, runs

STAGE = "export"
SETTINGS = ("candidate", "format", "precision")
DIGEST = "row.sha256"  # tag of a child run: of the row that it was made from


def log(row: dict[str, Any], parent: Run) -> str:
    """Return the id of the child run of `parent` that has a row of paths.EXPORTED; a new one replaces its namesake."""
    name, digest = f"export-{row['format']}-{row['precision']}", provenance.digest(row)
    known = runs.tagged({MLFLOW_PARENT_RUN_ID: parent.info.run_id, MLFLOW_RUN_NAME: name})
    for child in known:
        if child.data.tags.get(DIGEST) == digest and child.info.status == runs.FINISHED:
            return str(child.info.run_id)
    for child in known:
        MlflowClient().delete_run(child.info.run_id)
    tags = provenance.git() | {key: row[key] for key in ("role", "fingerprint")} | {"host": platform.node()}
    tags |= {runs.STAGE: STAGE, "shipped": str(row["shipped"]).lower(), DIGEST: digest}
    tags["reasons"] = "; ".join(row["reasons"])[:1000] or "within all limits"
    experiment, above = parent.info.experiment_id, parent.info.run_id
    with mlflow.start_run(experiment_id=experiment, run_name=name, parent_run_id=above, tags=tags) as run:
        mlflow.log_metrics(figures(row))
        mlflow.log_params({key: row[key] for key in SETTINGS})
        if row["file"]:
            mlflow.log_artifact(row["file"])
    return str(run.info.run_id)


def figures(row: dict[str, Any]) -> dict[str, float]:
    """Return what was measured of a row's file; nothing where there is no file."""
    return {key: value for key, value in row.items() if isinstance(value, int | float) and not isinstance(value, bool)}


def edge(rows: list[dict[str, Any]], metrics: candidates.Metrics, params: Params) -> dict[str, Any]:
    """Give the edge model the alias, if any variant of it was shipped; return what paths.EDGE is to hold."""
    name, best = (next(row["candidate"] for row in rows if role in row["role"]) for role in ("edge", "best"))
    outcome = {"model": params.registry.model, "candidate": name, "alias": versions.EDGE, "version": None}
    shipped = [row for row in rows if row["candidate"] == name and row["shipped"]]
    if not shipped:
        return outcome | {"reason": f"no variant of {name} is within the limits"}
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
    tags = versions.tags(name, figures, params.registry.metric)
    outcome |= {"description": description, "reason": reason, "shipped": files, "tags": tags}
    return outcome | {"version": register(outcome)}


def register(outcome: dict[str, Any]) -> str:
    """Make the model that paths.EDGE describes the version with the alias `edge`; return its number.

    A version that stage `promote` has registered keeps its card, description and tags.
    """
    model = outcome["model"]
    with versions.alone():
        known = versions.version_of(model, logged_models.model_uri(runs.of(outcome["candidate"])))
        if known is None or versions.GATE not in known.tags:
            version = versions.apply(outcome, paths.EXPORT_CARDS / f"{outcome['candidate']}.md")
        else:
            version = str(known.version)
        MlflowClient().set_registered_model_alias(model, versions.EDGE, version)
    return version
