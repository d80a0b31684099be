"""Files compared with dvc.lock, by DVC."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dvc.exceptions import DvcException
from dvc.lock import LockNoop

from pipeline.lineage import Broken, Line
from pipeline.tracking.provenance import LOCK, repository

RECOMPUTABLE = Path("data/trunk")  # need not be there: it is not pushed


def verify(stages: list[str], depth: int) -> Iterator[Line]:
    """Yield lines that say what `stages` and all that they depend on are made of, if it is as dvc.lock records it.

    Raises Broken if a dependency, parameter or output is another one, or is missing. Of several an output is named: the
    stages that depend on it have it as a changed dependency, too. Raises UserError if DVC wants a repository.
    """
    try:
        with repository() as repo, tempfile.TemporaryDirectory() as folder:
            if not os.access(repo.tmp_dir, os.W_OK):  # who may not write there does without DVC's locks, files in it
                repo.lock, repo.tmp_dir = LockNoop(), folder
            status = repo.status(targets=stages, with_deps=True)
            names = {stage.addressing: stage for name in stages for stage in repo.stage.collect(name, with_deps=True)}
    except DvcException as error:
        raise Broken(str(LOCK), f"{error}: `pipeline mend`, or `git checkout {LOCK}`") from None
    faults = [fault for name, entries in status.items() for entry in entries for fault in _faults(name, entry)]
    if faults:
        raise Broken(*min(faults, key=lambda fault: (", out " not in fault[0], fault)))
    count = sum(len(stage.deps) + len(stage.outs) for stage in names.values())
    yield Line(depth, f"files: {len(names)} stages, {count} dependencies and outputs as {LOCK} records them")
    for name, stage in names.items():
        for kind, entries in (("dep", stage.deps), ("out", stage.outs)):
            for entry in entries:
                yield Line(depth + 1, f"{name}: {kind} {entry.def_path} {entry.hash_info.value}", detail=True)


def _faults(stage: str, entry: str | dict[str, dict[str, Any]]) -> Iterator[tuple[str, str]]:
    """Yield the broken links in an entry of `dvc status`, and why; none if it says nothing of a result."""
    if isinstance(entry, str):
        if entry != "always changed":
            yield f"{LOCK}, {stage}", f"{entry}: `dvc repro`"
        return
    for kind, paths in entry.items():
        for path, state in paths.items():
            if state == "deleted":
                why = "it is missing: `dvc pull`, or `dvc repro`"
            elif isinstance(state, str):
                why = f"it is {state}: `git checkout` or `dvc checkout`, or `dvc repro`"
            else:
                why = "it has other values: `git checkout`, or `dvc repro`"
            if not (Path(path).is_relative_to(RECOMPUTABLE) and state in ("deleted", "not in cache")):
                yield f"{LOCK}, {stage}, {kind.removeprefix('changed ')[:-1]} {path}", why
