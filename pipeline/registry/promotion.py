"""Who is champion, who challenged, and how that came about: alias and stage of the registered model's versions.

The journal is what counts: a change is written there first, and alias and stage follow its last entry. What a crash
left undone is done by whoever looks next.
"""

import datetime
import getpass
import json
import subprocess

from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion

from pipeline.core.errors import UserError
from pipeline.registry import journal
from pipeline.registry.versions import versions
from pipeline.tracking.store import answering

CHAMPION, PRODUCTION = "champion", "Production"
CHALLENGER, STAGING = "challenger", "Staging"
ARCHIVED = "Archived"


def history(model: str) -> list[dict]:
    """The journal's entries, oldest first: time (UTC), who, action, from, to (versions or None), why, evidence.

    What a crash left undone is done first. An action is `promote`, `rollback`, `refuse` or `restore`. `evidence`:
    SHA-256 of what a gate decided; None if a person did.
    """
    with answering():
        return _settled(model)


def champion(model: str) -> ModelVersion | None:
    """The version that is champion, after what a crash left undone is done."""
    with answering():
        current = _champion(model, _settled(model))
        return current and MlflowClient().get_model_version(model, current)


def standing(model: str) -> dict[str, str | None]:
    """The version that each of the champion's marks is at: by the journal, the alias and the stage."""
    with answering():
        registered = MlflowClient().get_registered_model(model)
        alias = registered.aliases.get(CHAMPION)
        staged = [str(version.version) for version in versions(model) if version.current_stage == PRODUCTION]
        return {
            "journal": _champion(model, journal.read(model)),
            f"alias {CHAMPION}": alias and str(alias),
            f"stage {PRODUCTION}": ", ".join(staged) or None,
        }


def promote(
    model: str, version: str, why: str, seen: list[dict], evidence: str | None = None, action: str = "promote"
) -> str | None:
    """Make a version champion; nothing happens if it is. Returns the version that was champion before.

    `seen`: the history that the decision was made by. `evidence`: as in the history. Raises UserError if there is no
    such version, or if someone else has changed the registry since then.
    """
    with answering():
        _require(model, version)
        return _change(model, action, version, why, seen, evidence)


def refuse(model: str, version: str, why: str, seen: list[dict], evidence: str | None = None) -> None:
    """Make a version the challenger that was refused: alias `challenger`, stage `Staging`. Raises as `promote`."""
    with answering():
        _require(model, version)
        _change(model, "refuse", version, why, seen, evidence)


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
    promote(model, version, why, seen, action="rollback")
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


def _change(model: str, action: str, version: str, why: str, seen: list[dict], evidence: str | None) -> str | None:
    current = _champion(model, seen)
    if version == current:
        return current
    entry = {
        "time": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "who": _short(_who(), 500),
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


def _short(text: str, most: int) -> str:
    """The beginning of a text, of at most so many characters as JSON writes it."""
    while len(json.dumps(text)) > most:
        text = text[: len(text) * 9 // 10]
    return text


def _who() -> str:
    name = subprocess.run(["git", "config", "user.name"], capture_output=True, text=True).stdout.strip()
    return name or getpass.getuser()
