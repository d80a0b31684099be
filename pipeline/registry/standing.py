"""Who is champion and challenger by the history, and what MLflow shows of it: alias and stage of a version.

Looked at once; nothing is changed here.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion

from pipeline.registry import journal

CHAMPION, PRODUCTION = "champion", "Production"
CHALLENGER, STAGING = "challenger", "Staging"
Reign = tuple[str, str | None]  # a version's number, and its source: a new model of an old name begins again at 1
Places = dict[str, str | None]  # number of the version that a mark is at


@dataclass(frozen=True)
class Standing:
    """A registered model's history, its versions by number, and the versions' numbers by alias, at one moment."""

    model: str
    journal: journal.Journal
    versions: dict[str, ModelVersion]
    aliases: dict[str, str]

    @classmethod
    def of(cls, model: str) -> "Standing":
        """Return what there is of a model; it need not exist."""
        client, named = MlflowClient(), f"name = '{model}'"
        known = {str(found.version): found for found in client.search_model_versions(named)}
        aliases = {
            alias: str(at) for found in client.search_registered_models(named) for alias, at in found.aliases.items()
        }
        return cls(model, journal.look(model), known, aliases)

    @property
    def entries(self) -> list[dict[str, Any]]:
        """Return the history's entries, oldest first."""
        return self.journal.entries

    def there(self, reign: Reign | None) -> str | None:
        """Return the number of a version that was not deleted."""
        number, source = reign or (None, None)
        found = self.versions.get(number) if number else None
        return number if found and source in (None, found.source) else None

    @cached_property
    def champion(self) -> str | None:
        """Return the champion's number by the history; without one by its alias, which may be older than that."""
        reigns = self.reigns(len(self.entries))
        return self.there(reigns[-1]) if reigns else self.aliases.get(CHAMPION)

    @cached_property
    def lost(self) -> str | None:
        """Return the champion's number by the history, if that version was deleted."""
        reigns = self.reigns(len(self.entries))
        return reigns[-1][0] if reigns and reigns[-1] and self.champion is None else None

    @cached_property
    def challenger(self) -> str | None:
        """Return the number of the version that was refused last, if no one was promoted since."""
        last = next((entry for entry in reversed(self.entries) if entry["action"] not in ("gone", "keep")), None)
        refused = self.there((last["to"], last.get("source"))) if last and last["action"] == "refuse" else None
        return refused if refused != self.champion else None

    def previous(self) -> str | None:
        """Return the champion to roll back to, of those that were not deleted."""
        before = map(self.there, reversed(self.reigns(len(self.entries))[:-1]))
        return next((number for number in before if number and number != self.champion), None)

    def led(self, number: str) -> bool:
        """Return whether the version was ever champion."""
        reigns = [reign for count in range(len(self.entries)) for reign in self.reigns(count + 1)]
        return number in map(self.there, reigns)

    def reigns(self, count: int) -> list[Reign | None]:
        """Return the champions after so many entries, the present one last, None for nobody."""
        reigns: list[Reign | None] = []
        for entry in self.entries[:count]:
            if entry["action"] in ("refuse", "keep"):
                continue
            if not reigns and entry["from"]:
                reigns.append((entry["from"], None))
            if entry["action"] == "gone":
                reigns[-1] = None
            elif entry["action"] == "rollback" and entry["to"] in [reign and reign[0] for reign in reigns]:
                while not reigns[-1] or reigns[-1][0] != entry["to"]:
                    reigns.pop()
            else:
                reigns.append((entry["to"], entry.get("source")) if entry["to"] else None)
        return reigns

    def shown(self) -> Places:
        """Return where the marks are; of a stage that several versions have, all their numbers."""
        found: Places = {}
        for alias, stage in ((CHAMPION, PRODUCTION), (CHALLENGER, STAGING)):
            staged = [number for number, version in self.versions.items() if version.current_stage == stage]
            found |= {f"alias {alias}": self.aliases.get(alias), f"stage {stage}": ", ".join(sorted(staged)) or None}
        return found

    def misplaced(self) -> dict[str, str]:
        """Return what is wrong, by the mark that is not where it belongs by the history, if there is one."""
        champion, challenger = self.champion, self.challenger
        wanted = (champion, champion, challenger, challenger) if self.entries else self.shown().values()
        pairs = zip(self.shown().items(), wanted, strict=True)
        none = "no version"
        return {
            mark: f"{mark} is at {at or none}, by the history at {place or none}"
            for (mark, at), place in pairs
            if at != place
        }
