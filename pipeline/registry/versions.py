"""The MLflow model registry: versions, found and made. Who of them is champion is told in promotion.py."""

import contextlib
import json
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mlflow
from mlflow import MlflowClient
from mlflow.entities import Run
from mlflow.entities.model_registry import ModelVersion

from pipeline.core import files, paths
from pipeline.core.errors import UserError
from pipeline.reporting import catalog
from pipeline.tracking import provenance, runs, store

EDGE = "edge"  # alias of the small model that is exported for devices; it has no part in the history
DECISION = "promotion.json"  # artifact of a version's run: what the gate decided, and by what
# Tags of a version. What stage `promote` has decided on has the last two: SHA-256 of DECISION, and why.
OWN = ("candidate", runs.FINGERPRINT)
EVIDENCE, GATE = "evidence", "gate"
SCORES = ("validation_", "test_")  # begin of tags that are figures
BY_HAND: dict[str, Any] = {
    "promote": True,
    "reason": "was promoted by hand",
    "checks": [],
    "evidence": {},
}  # evidence of no gate
DESCRIPTION = "CIFAR-10: uint8 images (N, 32, 32, 3) to probabilities (N, 10)"
warnings.filterwarnings("ignore", message=".*[Mm]odel registry stages.*")  # kept in step with the alias, on purpose


@contextlib.contextmanager
def alone() -> Iterator[None]:
    """Within the block no other experiment of this repository writes of versions, or of the exports below their runs.

    If it were of the same model, tags and artifacts of both would be mixed.
    """
    with files.alone(paths.shared(paths.CHECKPOINTS) / "registry.lock"):
        yield


def version_of(model: str, model_uri: str) -> ModelVersion | None:
    """The version of a logged model, if it is registered."""
    with store.answering():
        versions = MlflowClient().search_model_versions(f"name = '{model}'")
        return next((known for known in versions if known.source == model_uri), None)


def versions(model: str) -> list[ModelVersion]:
    """All versions, with their aliases, which a search leaves out."""
    client = MlflowClient()
    with store.answering():
        found = client.search_model_versions(f"name = '{model}'")
        return [client.get_model_version(model, version.version) for version in found]


def resolve(model: str, address: str) -> ModelVersion:
    """The version with that number, alias (`@champion`) or stage (`Production`). Raises UserError if there is none."""
    for version in versions(model):
        if address in (str(version.version), version.current_stage, *(f"@{alias}" for alias in version.aliases)):
            return version
    if not versions(model):
        raise UserError(
            f"the store has no version of {model}: `dvc repro` makes one, `pipeline restore` tells a lost one"
        )
    raise UserError(f"{model} has no version, alias or stage {address}: `pipeline history` shows what there is")


def aliases(model: str) -> set[str]:
    """The aliases that some version has."""
    with store.answering():
        return set(MlflowClient().get_registered_model(model).aliases)


def register(model: str, model_uri: str, description: str, tags: dict[str, str]) -> str:
    """Make a logged model a version of `model`, unless it is one; set its description and tags; return its number.

    The tags are set in their order, last of all: the last one says that all is there.
    """
    client = MlflowClient()
    with store.answering():
        if not client.search_registered_models(f"name = '{model}'"):
            client.create_registered_model(model, description=DESCRIPTION)
        known = version_of(model, model_uri) or mlflow.register_model(model_uri, model)
        client.update_model_version(model, known.version, description)
        for key, value in tags.items():
            client.set_model_version_tag(model, known.version, key, value)
    return str(known.version)


def reopen(model: str, model_uri: str) -> None:
    """Take from the version of a logged model, if there is one, what says that it was decided on."""
    known = version_of(model, model_uri)
    if known and GATE in known.tags:
        with store.answering():
            MlflowClient().delete_model_version_tag(model, str(known.version), GATE)


def by_hand(version: ModelVersion) -> bool:
    """Return whether a version says that a person has promoted it, and no gate has decided."""
    return version.tags.get(EVIDENCE) == provenance.digest(BY_HAND)


def evidence(run_id: str) -> dict | None:
    """What the gate decided of a run's model, by the run's artifact; None if it has none, or one that is damaged."""
    with tempfile.TemporaryDirectory() as folder:
        found = store.artifact(run_id, DECISION, Path(folder))
        try:
            decision = found and json.loads(found.read_text())
        except (ValueError, RecursionError):
            return None
    return decision if isinstance(decision, dict) and "promote" in decision and "reason" in decision else None


def edge(model: str, model_uri: str, description: str, tags: dict[str, str]) -> str:
    """Give alias `edge` to the version of a logged model, which is registered if need be; return its number.

    A version that stage `promote` has registered keeps its description and tags.
    """
    known = version_of(model, model_uri)
    with store.answering():
        if known is None or GATE not in known.tags:
            version = register(model, model_uri, description, tags)
        else:
            version = str(known.version)
        MlflowClient().set_registered_model_alias(model, EDGE, version)
    return version


def own(tags: dict[str, str]) -> dict[str, str]:
    """Return those of a version's tags that this workflow has given it."""
    return {key: value for key, value in tags.items() if key in (*OWN, EVIDENCE, GATE) or key.startswith(SCORES)}


def tags(name: str, run: Run, figures: dict[str, Any], metric: str) -> dict[str, str]:
    """Return the tags of a version of the candidate `name`, whose logged model is that of the run.

    `figures`: its metrics file. `metric`: the figure on validation that decides.
    """
    shown = {f"validation_{metric}": figures["validation"][metric]}
    shown |= {row.tag: figures[row.section][row.key] for row in catalog.shown(catalog.TAGS)}
    whose = {"candidate": name, runs.FINGERPRINT: run.data.tags[runs.FINGERPRINT]}
    return whose | {key: f"{value:.6f}" for key, value in shown.items()}
