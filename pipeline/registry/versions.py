"""The MLflow model registry: versions, found and made. Who of them is champion is told in promotion.py."""

import contextlib
import io
import json
import tempfile
from pathlib import Path
from typing import Any

import mlflow
from filelock import FileLock
from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion

from pipeline.core import candidates, files, paths
from pipeline.core.errors import UserError
from pipeline.reporting import catalog, model_card
from pipeline.tracking import logged_models, provenance, runs, store

EDGE = "edge"  # alias of the small model that is exported for devices; it has no part in the history
DECISION = "promotion.json"  # artifact of a version's run: what the gate decided, and by what
# Tags of a version. What stage `promote` has decided on has the last two: SHA-256 of DECISION, and why.
OWN = ("candidate", runs.FINGERPRINT)
EVIDENCE, GATE = "evidence", "gate"
SCORES = ("validation_", "test_")  # begin of tags that are figures
BY_HAND: dict[str, Any] = {"promote": True, "reason": "was promoted by hand", "checks": [], "evidence": {}}
DESCRIPTION = "CIFAR-10: uint8 images (N, 32, 32, 3) to probabilities (N, 10)"


def alone() -> FileLock:
    """Return a lock: tags and artifacts of two experiments that register the same model at once would be mixed."""
    return files.alone(paths.shared(paths.CHECKPOINTS) / "registry.lock")


def versions(model: str) -> list[ModelVersion]:
    """Return all versions, with their aliases, which a search leaves out."""
    client = MlflowClient()
    found = client.search_model_versions(f"name = '{model}'")
    return [client.get_model_version(model, version.version) for version in found]


def version_of(model: str, model_uri: str) -> ModelVersion | None:
    """Return the version of a logged model; None if it is not registered."""
    found = MlflowClient().search_model_versions(f"name = '{model}'")
    return next((known for known in found if known.source == model_uri), None)


def resolve(model: str, address: str) -> ModelVersion:
    """Return the version with a number, alias (`@champion`) or stage (`Production`). Raises UserError without one."""
    known = versions(model)
    for version in known:
        if address in (str(version.version), version.current_stage, *(f"@{alias}" for alias in version.aliases)):
            return version
    if not known:
        raise UserError(f"the store has no version of {model}: `dvc repro` makes one, `pipeline restore` a lost one")
    raise UserError(f"{model} has no version, alias or stage {address}: `pipeline history` shows what there is")


def apply(outcome: dict[str, Any], card: Path) -> str:
    """Register the model that paths.REGISTRY or paths.EDGE describes, unless it is a version; return its number.

    Its run gets the card and what a gate decided. Raises UserError if the store lacks the candidate's run or model.
    """
    model, run, client = outcome["model"], runs.of(outcome["candidate"]), MlflowClient()
    address = logged_models.model_uri(run)
    known = version_of(model, address)
    if known and GATE in known.tags:  # which says that all is there
        client.delete_model_version_tag(model, str(known.version), GATE)
    client.log_artifact(run.info.run_id, str(card))
    if "gate" in outcome:
        client.log_text(run.info.run_id, json.dumps(outcome["gate"], indent=2) + "\n", DECISION)
    description = model_card.describe(outcome["description"], card.read_text())
    return register(model, address, description, outcome["tags"])


def register(model: str, model_uri: str, description: str, tags: dict[str, str]) -> str:
    """Make a logged model a version of `model`, unless it is one; set its description and tags; return its number.

    The tags are set in their order, last of all: the last one says that all is there.
    """
    client = MlflowClient()
    if not client.search_registered_models(f"name = '{model}'"):
        client.create_registered_model(model, description=DESCRIPTION)
    known = version_of(model, model_uri)
    if known is None:
        with contextlib.redirect_stderr(io.StringIO()):  # MLflow prints there that it makes a version
            known = mlflow.register_model(model_uri, model)
    client.update_model_version(model, known.version, description)
    for key, value in tags.items():
        client.set_model_version_tag(model, known.version, key, value)
    return str(known.version)


def by_hand(version: ModelVersion) -> bool:
    """Return whether a version says that a person has promoted it, and no gate has decided."""
    return version.tags.get(EVIDENCE) == provenance.digest(BY_HAND)


def evidence(run_id: str) -> dict | None:
    """Return what the gate decided of a run's model, by the run's artifact; None if it has none that is whole."""
    with tempfile.TemporaryDirectory() as folder:
        found = store.artifact(run_id, DECISION, Path(folder))
        try:
            return dict(files.read_json(found, "promote", "reason")) if found else None
        except UserError:  # it is damaged
            return None


def tags(name: str, figures: dict[str, Any], metric: str) -> dict[str, str]:
    """Return the tags of a version of the candidate that is here.

    `figures`: its metrics file. `metric`: the figure on validation that decides.
    """
    scores = {f"validation_{metric}": figures["validation"][metric]}
    scores |= {row.tag: figures[row.section][row.key] for row in catalog.shown(catalog.TAGS)}
    whose = {"candidate": name, runs.FINGERPRINT: candidates.facts(name)["fingerprint"]}
    return whose | {key: f"{value:.6f}" for key, value in scores.items()}
