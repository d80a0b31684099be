"""Who is champion, who challenged, and how that came about.

The journal is what counts: a change is written there first, and alias and stage follow its last entry. What a crash
left undone is done by the next who changes something. What others have done in MLflow itself is entered by them, too:
a version that was made champion there is (`adopt`), a champion that was deleted is none (`gone`), other marks are put
back (`keep`).
"""

import contextlib
import datetime
import json
import warnings
from collections.abc import Iterator

from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion

from pipeline.core import git
from pipeline.core.errors import UserError, note
from pipeline.registry import journal
from pipeline.registry.standing import CHALLENGER, CHAMPION, PRODUCTION, STAGING, Standing

ARCHIVED = "Archived"
warnings.filterwarnings("ignore", message=".*[Mm]odel registry stages.*")  # kept in step with the alias, on purpose
ELSEWHERE = "someone else"  # who; MLflow does not say


def settle(model: str) -> Standing:
    """Return where the registered model stands, after history and marks agree: for who is about to change something.

    What was found amiss is a line on stderr.
    """
    entered = False
    while True:
        found = Standing.of(model)
        if found.journal.deleted:
            journal.begin(model)
        elif entry := _done_elsewhere(found):
            with contextlib.suppress(journal.Conflict):
                journal.append(model, found.entries, entry)
                note(f"{model}: {entry['why']}")
                entered = True
        else:
            break
    if found.journal.followed == len(found.entries) and not found.misplaced():
        return found
    for line in found.misplaced().values() if not entered else ():
        note(f"{model}: {line}: it is put there")
    return _follow(model)


def champion(model: str) -> ModelVersion | None:
    """Return the version that is champion by the history; without one by its alias, which may be older than that."""
    found = Standing.of(model)
    return found.versions[found.champion] if found.champion else None


def amiss(found: Standing) -> Iterator[str]:
    """Yield a line for what others have deleted or moved in MLflow, by the history. Nothing is changed."""
    named = {entry[side] for entry in found.entries for side in ("from", "to")}
    if gone := named - {None, *found.versions}:
        yield f"gone from MLflow: version {', '.join(sorted(gone, key=int))}"
    if found.journal.deleted:
        yield "the history was deleted in MLflow: the next change of the registry restores it"
    yield from found.misplaced().values()


def enter(model: str, action: str, version: str, why: str, seen: Standing, evidence: str | None = None) -> str | None:
    """Enter an action in the history, and let alias and stage follow; return the version that was champion before.

    `promote` and `restore` make a version champion; nothing happens if it is. `refuse` makes it challenger: alias
    `challenger`, stage `Staging`. `seen`: as `settle` gave it, when it was decided. `evidence`: SHA-256 of what a gate
    decided; None if a person did. Raises UserError if there is no such version, or if someone else has changed the
    registry since then.
    """
    found = Standing.of(model)
    if version not in found.versions:
        numbers = ", ".join(sorted(found.versions, key=int))
        raise UserError(f"{model} has no version {version}; it has {numbers or 'none'}")
    if version == seen.champion:
        return version
    entry = _entry(git.user(), action, seen.champion, version, why)
    entry |= {"source": found.versions[version].source, "evidence": evidence}
    last = seen.entries[-1] if seen.entries else {}
    if action != "refuse" or any(last.get(key) != entry[key] for key in entry.keys() - {"time", "who"}):
        try:
            journal.append(model, seen.entries, entry)
        except journal.Conflict:
            other = journal.read(model)[-1]
            raise UserError(
                f"{other['who']} changed {model} meanwhile ({other['action']} of version {other['to']}): look at "
                "`pipeline history` and decide again"
            ) from None
    _follow(model)
    return seen.champion


def rollback(model: str, version: str | None, why: str) -> str:
    """Make champion the version that was it before, or a `version` that once was. Returns its number.

    Rolling back again goes further back. Raises UserError if there is none, or as `enter`.
    """
    seen = settle(model)
    if version is None:
        version = seen.previous()
        if version is None:
            raise UserError(f"{model} had no champion before: `pipeline history` shows what there was")
    elif not seen.led(version):
        raise UserError(f"{model} version {version} was never champion: promote it instead")
    enter(model, "rollback", version, why, seen)
    return version


def _follow(model: str) -> Standing:
    """Let alias and stage follow the history; return where the model stood before."""
    while True:  # the history may grow meanwhile
        found = Standing.of(model)
        if found.entries:
            _mark(found)
        if len(journal.read(model)) == len(found.entries):
            journal.follow(model, len(found.entries))
            return found


def _mark(found: Standing) -> None:
    """Put alias and stage where they belong. A version that has a stage of another's is archived."""
    client = MlflowClient()
    for number, version in found.versions.items():
        given_up = ARCHIVED if version.current_stage in (PRODUCTION, STAGING) else version.current_stage
        stage = PRODUCTION if number == found.champion else STAGING if number == found.challenger else given_up
        if stage != version.current_stage:
            client.transition_model_version_stage(found.model, number, stage)
    for alias, place in ((CHAMPION, found.champion), (CHALLENGER, found.challenger)):
        if place and found.aliases.get(alias) != place:
            client.set_registered_model_alias(found.model, alias, place)
        if place is None and alias in found.aliases:
            client.delete_registered_model_alias(found.model, alias)


def _done_elsewhere(found: Standing) -> dict | None:
    """Return the entry for what others have done in MLflow itself since the last entry; None if they have not."""
    shown, champion, lost = found.shown(), found.champion, found.lost
    if found.misplaced() and found.journal.followed == len(found.entries):  # or else a crash has left them there
        at, staged = shown[f"alias {CHAMPION}"], shown[f"stage {PRODUCTION}"]
        if moved := next((place for place in (at, staged) if place in found.versions and place != champion), None):
            why = f"version {moved} was made champion in MLflow; before it was {champion or lost or 'none'}"
            return _entry(ELSEWHERE, "adopt", champion or lost, moved, why) | {"source": found.versions[moved].source}
        if champion and at is None and staged is None:
            why = f"alias and stage of version {champion}, the champion, were taken away in MLflow"
            return _entry(ELSEWHERE, "adopt", champion, None, why)
        if lost is None:
            why = f"marks that were moved in MLflow are put back: {'; '.join(found.misplaced().values())}"
            return _entry(ELSEWHERE, "keep", champion, champion, why)
    if lost:
        return _entry(ELSEWHERE, "gone", lost, None, f"version {lost}, the champion, is gone from MLflow")
    return None


def _entry(who: str, action: str, before: str | None, version: str | None, why: str) -> dict[str, str | None]:
    return {
        "time": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "who": _short(who, 500),  # of 6,000 characters that MLflow takes in all
        "action": action,
        "from": before,
        "to": version,
        "why": _short(why, 3000),
        "source": None,
        "evidence": None,
    }


def _short(text: str, most: int) -> str:
    """The beginning of a text, of at most so many characters as JSON writes it."""
    while len(json.dumps(text)) > most:
        text = text[: len(text) * 9 // 10]
    return text
