"""Who is champion, who challenged, and how that came about: alias and stage of the registered model's versions.

The journal is what counts: a change is written there first, and alias and stage follow its last entry. What a crash
left undone is done by whoever looks next.
"""

import datetime
import json

from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion

from pipeline.core import git
from pipeline.core.errors import UserError
from pipeline.registry import journal
from pipeline.registry.versions import versions

CHAMPION, PRODUCTION = "champion", "Production"
CHALLENGER, STAGING = "challenger", "Staging"
ARCHIVED = "Archived"


def history(model: str) -> list[dict]:
    """Return the journal's entries, oldest first, after what a crash left undone is done.

    They have time (UTC), who, action (`promote`, `rollback`, `refuse` or `restore`), from, to (versions or None), why,
    and evidence: SHA-256 of what a gate decided; None if a person did.
    """
    seen = journal.read(model)
    while True:  # it may grow meanwhile
        if seen:
            _apply(model, _champion(model, seen), seen[-1]["to"] if seen[-1]["action"] == "refuse" else None)
        before, seen = seen, journal.read(model)
        if len(before) == len(seen):
            return seen


def champion(model: str) -> ModelVersion | None:
    """Return the version that is champion, after what a crash left undone is done."""
    current = _champion(model, history(model))
    return current and MlflowClient().get_model_version(model, current)


def standing(model: str) -> dict[str, str | None]:
    """Return the version that each of the champion's marks is at: by the journal, the alias and the stage."""
    staged = [str(version.version) for version in versions(model) if version.current_stage == PRODUCTION]
    return {
        "journal": _champion(model, journal.read(model)),
        f"alias {CHAMPION}": _at_alias(model),
        f"stage {PRODUCTION}": ", ".join(staged) or None,
    }


def enter(model: str, action: str, version: str, why: str, seen: list[dict], evidence: str | None = None) -> str | None:
    """Enter an action in the history, and let alias and stage follow; return the version that was champion before.

    `promote` and `restore` make a version champion; nothing happens if it is. `refuse` makes it challenger: alias
    `challenger`, stage `Staging`. `seen`: the history that the decision was made by. `evidence`: as in the history.
    Raises UserError if there is no such version, or if someone else has changed the registry since then.
    """
    known = [str(found.version) for found in MlflowClient().search_model_versions(f"name = '{model}'")]
    if version not in known:
        raise UserError(f"{model} has no version {version}; it has {', '.join(sorted(known, key=int)) or 'none'}")
    current = _champion(model, seen)
    if version == current:
        return current
    entry = {
        "time": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "who": _short(git.user(), 500),  # of 6,000 characters that MLflow takes in all
        "action": action,
        "from": current,
        "to": version,
        "why": _short(why, 3000),
        "evidence": evidence,
    }
    last = seen[-1] if seen else {}
    if action != "refuse" or any(last.get(key) != entry[key] for key in entry.keys() - {"time", "who"}):
        try:
            journal.append(model, seen, entry)
        except journal.Conflict:
            other = journal.read(model)[-1]
            raise UserError(
                f"{other['who']} changed {model} meanwhile ({other['action']} of version {other['to']}): look at "
                "`pipeline history` and decide again"
            ) from None
    history(model)
    return current


def rollback(model: str, version: str | None, why: str) -> str:
    """Make champion the version that was it before, or a `version` that once was. Returns its number.

    Rolling back again goes further back. Raises UserError if there is none, or as `enter`.
    """
    seen = history(model)
    if version is None:
        version = previous(seen)
        if version is None:
            raise UserError(f"{model} had no champion before: `pipeline history` shows what there was")
    elif version not in {entry[side] for entry in seen for side in ("from", "to") if entry["action"] != "refuse"}:
        raise UserError(f"{model} version {version} was never champion: promote it instead")
    enter(model, "rollback", version, why, seen)
    return version


def previous(seen: list[dict]) -> str | None:
    """The champion to roll back to, by the history."""
    reigns = _reigns(seen)
    return reigns[-2] if len(reigns) > 1 else None


def _reigns(seen: list[dict]) -> list[str]:
    """Champions, the present one last; what was rolled back is left out."""
    reigns: list[str] = []
    for entry in seen:
        if entry["action"] == "refuse":
            continue
        if not reigns and entry["from"]:
            reigns.append(entry["from"])
        if entry["action"] == "rollback" and entry["to"] in reigns:
            while reigns[-1] != entry["to"]:
                reigns.pop()
        else:
            reigns.append(entry["to"])
    return reigns


def _apply(model: str, champion: str | None, challenger: str | None) -> None:
    client = MlflowClient()
    versions = client.search_model_versions(f"name = '{model}'")
    wanted = {champion: PRODUCTION, challenger: STAGING}
    for version in versions:
        given_up = ARCHIVED if version.current_stage in (PRODUCTION, STAGING) else version.current_stage
        stage = wanted.get(str(version.version), given_up)
        if stage != version.current_stage:
            client.transition_model_version_stage(model, version.version, stage)
    aliases = client.get_registered_model(model).aliases
    for alias, version in ((CHAMPION, champion), (CHALLENGER, challenger)):
        if version and str(aliases.get(alias)) != version:
            client.set_registered_model_alias(model, alias, version)
        if version is None and alias in aliases:
            client.delete_registered_model_alias(model, alias)


def _champion(model: str, seen: list[dict]) -> str | None:
    """By the journal; without one by the alias, which may be older than it."""
    reigns = _reigns(seen)
    return reigns[-1] if reigns else _at_alias(model)


def _at_alias(model: str) -> str | None:
    registered = MlflowClient().search_registered_models(f"name = '{model}'")
    return str(alias) if registered and (alias := registered[0].aliases.get(CHAMPION)) else None


def _short(text: str, most: int) -> str:
    """The beginning of a text, of at most so many characters as JSON writes it."""
    while len(json.dumps(text)) > most:
        text = text[: len(text) * 9 // 10]
    return text
