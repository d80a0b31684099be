"""The MLflow model registry: versions, found and made. Who of them is champion is told in promotion.py."""

import contextlib
import hashlib
import json
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path

import mlflow
from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion
from mlflow.environment_variables import MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR

from pipeline.core import files, paths
from pipeline.core.errors import UserError
from pipeline.core.files import checksum
from pipeline.tracking import logged_models, provenance, store

EDGE = "edge"  # alias of the small model that is exported for devices; it has no part in the history
EVIDENCE = "promotion.json"  # artifact of a version's run: what the gate decided, and by what
# Tags of a version that stage `promote` has registered: why, and SHA-256 of the evidence; of any: of the description.
DECIDED, DECISION, DESCRIBED = "gate.reason", "gate.sha256", "description.sha256"
BY_HAND = {"promote": True, "reason": "was promoted by hand", "checks": [], "evidence": {}}  # evidence of no gate
OWN = ("candidate", "run_id", logged_models.FINGERPRINT, logged_models.VALIDATION)  # tags: whose model it is
DECIDED_TAGS = (
    "params.sha256",
    "validation_",
    "test_",
    "git.",
    "gate.",
    "description.",
)  # begin of tags: what it had then
TESTED = ("accuracy", "top3", "nll", "ece", "macro_f1")
DESCRIPTION = "CIFAR-10: uint8 images (N, 32, 32, 3) to probabilities (N, 10)"
MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR.set(False)
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
        return next((known for known in versions if known.tags.get("model_uri") == model_uri), None)


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
        known = version_of(model, model_uri) or mlflow.register_model(model_uri, model, tags={"model_uri": model_uri})
        client.update_model_version(model, known.version, description)
        # Also if the tags are those of registry.json, which has the digest of what was said then.
        for key, value in ({DESCRIBED: ""} | tags | {DESCRIBED: digest(description)}).items():
            client.set_model_version_tag(model, known.version, key, value)
    return str(known.version)


def reopen(model: str, model_uri: str) -> None:
    """Take from the version of a logged model, if there is one, what says that it was decided on."""
    known = version_of(model, model_uri)
    if known and DECIDED in known.tags:
        with store.answering():
            MlflowClient().delete_model_version_tag(model, str(known.version), DECIDED)


def by_hand(version: ModelVersion) -> bool:
    """Whether a version says that a person has promoted it, and no gate has decided."""
    return version.tags.get(DECISION) == digest(BY_HAND)


def evidence(run_id: str) -> dict | None:
    """What the gate decided of a run's model, by the run's artifact; None if it has none, or one that is damaged."""
    with tempfile.TemporaryDirectory() as folder:
        found = store.artifact(run_id, EVIDENCE, Path(folder))
        try:
            decision = found and json.loads(found.read_text())
        except (ValueError, RecursionError):
            return None
    return decision if isinstance(decision, dict) and "promote" in decision and "reason" in decision else None


def digest(value: object) -> str:
    """SHA-256 of something that JSON can hold, however it is laid out there."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def edge(model: str, model_uri: str, description: str, tags: dict[str, str]) -> str:
    """Give alias `edge` to the version of a logged model, which is registered if need be; return its number.

    A version that stage `promote` has registered keeps its description, and its tags but for `edge.*`.
    """
    client = MlflowClient()
    with store.answering():
        known = version_of(model, model_uri)
        if known and DECIDED in known.tags:
            version = str(known.version)
            for key, value in tags.items():
                if key.startswith(f"{EDGE}."):
                    client.set_model_version_tag(model, version, key, value)
        else:
            version = register(model, model_uri, description, tags)
        client.set_registered_model_alias(model, EDGE, version)
    return version


def own(tags: dict[str, str]) -> dict[str, str]:
    """Those of a version's tags that this workflow has given it when it was decided on."""
    return {key: value for key, value in tags.items() if key in OWN or key.startswith(DECIDED_TAGS)}


def said(value: float) -> str:
    """A figure, as a version's tags have it."""
    return f"{value:.6f}"


def tags(name: str, run_id: str, receipt: dict, figures: dict, metric: str) -> dict[str, str]:
    """Tags of a version of the candidate `name`, whose logged model is that of the run.

    `receipt`: of its training. `figures`: its metrics file. `metric`: the figure on validation that decides.
    """
    return {
        "candidate": name,
        "run_id": run_id,
        **{tag: receipt["tags"][tag] for tag in (logged_models.FINGERPRINT, logged_models.VALIDATION)},
        "params.sha256": checksum(paths.PARAMS),
        f"validation_{metric}": said(figures["validation"][metric]),
        **{f"test_{figure}": said(figures["test"][figure]) for figure in TESTED},
        **provenance.git(),
    }
