"""The MLflow model registry: versions, who is champion, who challenged, and how that came about.

The journal is what counts: a change is written there first, and alias and stage follow its last entry. What a crash
left undone is done by whoever looks next.
"""

import contextlib
import datetime
import getpass
import subprocess
import warnings
from collections.abc import Iterator

import mlflow
from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion
from mlflow.environment_variables import MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR
from mlflow.exceptions import MlflowException

from pipeline import journal, tracking
from pipeline.errors import UserError

CHAMPION, PRODUCTION = "champion", "Production"
CHALLENGER, STAGING = "challenger", "Staging"
ARCHIVED = "Archived"
EDGE = "edge"  # alias of the small model that is exported for devices; it has no part in the history
DECIDED = "gate.reason"  # tag, the last one that stage `promote` gives to a version
EVIDENCE = "promotion.json"  # artifact of a version's run: what the gate decided, and by what
DESCRIPTION = "CIFAR-10: uint8 images (N, 32, 32, 3) to probabilities (N, 10)"
MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR.set(False)
warnings.filterwarnings("ignore", message=".*[Mm]odel registry stages.*")  # kept in step with the alias, on purpose


@contextlib.contextmanager
def _answering() -> Iterator[None]:
    """Within the block, a store that fails is a UserError."""
    try:
        yield
    except MlflowException as error:
        raise tracking.failed(error) from error


def version_of(model: str, model_uri: str) -> ModelVersion | None:
    """The version of a logged model, if it is registered."""
    with _answering():
        versions = MlflowClient().search_model_versions(f"name = '{model}'")
        return next((known for known in versions if known.tags.get("model_uri") == model_uri), None)


def versions(model: str) -> list[ModelVersion]:
    """All versions, with their aliases, which a search leaves out."""
    client = MlflowClient()
    with _answering():
        found = client.search_model_versions(f"name = '{model}'")
        return [client.get_model_version(model, version.version) for version in found]


def resolve(model: str, address: str) -> ModelVersion:
    """The version with that number, alias (`@champion`) or stage (`Production`). Raises UserError if there is none."""
    for version in versions(model):
        if address in (str(version.version), version.current_stage, *(f"@{alias}" for alias in version.aliases)):
            return version
    raise UserError(f"{model} has no version, alias or stage {address}: `pipeline history` shows what there is")


def aliases(model: str) -> set[str]:
    """The aliases that some version has."""
    with _answering():
        return set(MlflowClient().get_registered_model(model).aliases)


def standing(model: str) -> dict[str, str | None]:
    """The version that each of the champion's marks is at: by the journal, the alias and the stage."""
    with _answering():
        registered = MlflowClient().get_registered_model(model)
        alias = registered.aliases.get(CHAMPION)
        staged = [str(version.version) for version in versions(model) if version.current_stage == PRODUCTION]
        return {
            "journal": _champion(model, journal.read(model)),
            f"alias {CHAMPION}": alias and str(alias),
            f"stage {PRODUCTION}": ", ".join(staged) or None,
        }


def register(model: str, model_uri: str, description: str, tags: dict[str, str]) -> str:
    """Make a logged model a version of `model`, unless it is one; set its description and tags; return its number."""
    client = MlflowClient()
    with _answering():
        if not client.search_registered_models(f"name = '{model}'"):
            client.create_registered_model(model, description=DESCRIPTION)
        known = version_of(model, model_uri) or mlflow.register_model(model_uri, model, tags={"model_uri": model_uri})
        for key, value in tags.items():
            client.set_model_version_tag(model, known.version, key, value)
        client.update_model_version(model, known.version, description)
    return str(known.version)


def edge(model: str, model_uri: str, description: str, tags: dict[str, str]) -> str:
    """Give alias `edge` to the version of a logged model, which is registered if need be; return its number.

    A version that stage `promote` has registered keeps its description, and its tags but for `edge.*`.
    """
    client = MlflowClient()
    with _answering():
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


def history(model: str) -> list[dict]:
    """The journal's entries, oldest first: time (UTC), who, action, from, to (versions or None), why.

    What a crash left undone is done first. An action is `promote`, `rollback`, `refuse` or `restore`.
    """
    with _answering():
        return _settled(model)


def champion(model: str) -> ModelVersion | None:
    """The version that is champion, after what a crash left undone is done."""
    with _answering():
        current = _champion(model, _settled(model))
        return current and MlflowClient().get_model_version(model, current)


def promote(model: str, version: str, why: str, seen: list[dict], action: str = "promote") -> str | None:
    """Make a version champion; nothing happens if it is. Returns the version that was champion before.

    `seen`: the history that the decision was made by. Raises UserError if there is no such version, or if someone else
    has changed the registry since then.
    """
    with _answering():
        _require(model, version)
        return _change(model, action, version, why, seen)


def refuse(model: str, version: str, why: str, seen: list[dict]) -> None:
    """Make a version the challenger that was refused: alias `challenger`, stage `Staging`. Raises as `promote`."""
    with _answering():
        _require(model, version)
        _change(model, "refuse", version, why, seen)


def rollback(model: str, version: str | None, why: str) -> str:
    """Make champion the version that was it before, or a `version` that once was. Returns its number.

    Rolling back again goes further back. Raises UserError if there is none, or as `promote`.
    """
    seen = history(model)
    if version is None:
        version = previous(seen)
        if version is None:
            raise UserError(f"{model} had no champion before: `pipeline history` shows what there was")
    elif version not in {entry[side] for entry in seen for side in ("from", "to") if entry["action"] != "refuse"}:
        raise UserError(f"{model} version {version} was never champion: promote it instead")
    promote(model, version, why, seen, "rollback")
    return version


def previous(seen: list[dict]) -> str | None:
    """The champion to roll back to, by the history."""
    reigns = _reigns(seen)
    return reigns[-2] if len(reigns) > 1 else None


def _reigns(seen: list[dict]) -> list[str]:
    """Champions, the present one last; what was rolled back is left out."""
    reigns = []
    for entry in seen:
        if entry["action"] == "refuse":
            continue
        if not reigns and entry["from"]:
            reigns.append(entry["from"])
        if entry["action"] == "rollback" and entry["to"] in reigns:
            del reigns[reigns.index(entry["to"]) + 1 :]
        else:
            reigns.append(entry["to"])
    return reigns


def _change(model: str, action: str, version: str, why: str, seen: list[dict]) -> str | None:
    current = _champion(model, seen)
    if version == current:
        return current
    entry = {
        "time": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "who": _who(),
        "action": action,
        "from": current,
        "to": version,
        "why": why[:1000],
    }
    last = seen[-1] if seen else {}
    if action != "refuse" or any(last.get(key) != entry[key] for key in ("action", "from", "to", "why")):
        try:
            journal.append(model, seen, entry)
        except journal.Conflict:
            other = journal.read(model)[-1]
            raise UserError(
                f"{other['who']} changed {model} meanwhile ({other['action']} of version {other['to']}): look at "
                "`pipeline history` and decide again"
            ) from None
    _settled(model)
    return current


def _settled(model: str) -> list[dict]:
    """The journal, after aliases and stages have been made to follow it, also if it grew meanwhile."""
    seen = journal.read(model)
    while True:
        if seen:
            _apply(model, _champion(model, seen), seen[-1]["to"] if seen[-1]["action"] == "refuse" else None)
        before, seen = seen, journal.read(model)
        if len(before) == len(seen):
            return seen


def _apply(model: str, champion: str | None, challenger: str | None) -> None:
    client = MlflowClient()
    versions = client.search_model_versions(f"name = '{model}'")
    wanted = {champion: PRODUCTION, challenger: STAGING}
    for version in versions:
        stage = wanted.get(str(version.version))
        if stage is None and version.current_stage in (PRODUCTION, STAGING):
            stage = ARCHIVED
        if stage and stage != version.current_stage:
            client.transition_model_version_stage(model, version.version, stage)
    aliases = client.get_registered_model(model).aliases
    for alias, version in ((CHAMPION, champion), (CHALLENGER, challenger)):
        if version and str(aliases.get(alias)) != version:
            client.set_registered_model_alias(model, alias, version)
        if version is None and alias in aliases:
            client.delete_registered_model_alias(model, alias)


def _champion(model: str, seen: list[dict]) -> str | None:
    """By the journal; without one by the alias, which may be older than it."""
    if reigns := _reigns(seen):
        return reigns[-1]
    registered = MlflowClient().search_registered_models(f"name = '{model}'")
    alias = registered[0].aliases.get(CHAMPION) if registered else None
    return str(alias) if alias else None


def _require(model: str, version: str) -> None:
    known = [str(found.version) for found in MlflowClient().search_model_versions(f"name = '{model}'")]
    if version not in known:
        raise UserError(f"{model} has no version {version}; it has {', '.join(sorted(known, key=int)) or 'none'}")


def _who() -> str:
    name = subprocess.run(["git", "config", "user.name"], capture_output=True, text=True).stdout.strip()
    return name or getpass.getuser()
