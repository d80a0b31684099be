"""Where a result comes from: the git commit, and the inputs of its DVC stage, as dvc.lock has them."""

import contextlib
import functools
import hashlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pipeline.core.errors import UserError
from pipeline.core.files import read_yaml
from pipeline.core.git import root, state

LOCK = Path("dvc.lock")
REMEDY = "`git init` makes one, as DVC wants it; `dvc config core.no_scm true` lets it work without"
Inputs = dict[str, Any]  # `deps`: MD5 by path; `params`: value by key


def git() -> dict[str, str]:
    """Return the commit that is checked out, and whether code or params differ from it, as tags of a run.

    Without a commit it is `none`, which a warning says once. Raises UserError if git fails.
    """
    commit, changed = state()
    if commit is None:
        _warn()
    return {"git.commit": commit or "none", "git.changed": "true" if changed else "false"}


@contextlib.contextmanager
def repository() -> Iterator[Any]:
    """Yield dvc.repo.Repo of this folder. Raises UserError if DVC wants a git repository."""
    from dvc.repo import Repo  # half a second, for the few who need it
    from dvc.scm import SCMError

    try:
        with Repo() as repo:
            yield repo
    except SCMError as error:
        raise UserError(f"{error}: {REMEDY}") from None


def inputs(stage: str) -> Inputs:
    """Return what `stage` (as in `train@custom_cnn`) would be made of now, hashed by DVC.

    Raises UserError if DVC does not say, as of a folder that is no repository, or of a stage that dvc.yaml lacks.
    """
    from dvc.dependency import ParamsDependency
    from dvc.exceptions import DvcException

    found: Inputs = {"deps": {}, "params": {}}
    try:
        with repository() as repo:
            for dep in next(iter(repo.stage.collect(stage))).deps:
                if isinstance(dep, ParamsDependency):
                    found["params"] |= dep.read_params()
                else:
                    found["deps"][dep.def_path] = dep.get_hash().value
    except DvcException as error:
        raise UserError(f"DVC cannot say what {stage} is made of: {error}") from None
    return found


def recorded(stage: str) -> Inputs | None:
    """Return what dvc.lock says that `stage` was made of; None if it has no such stage."""
    entry = locked().get(stage)
    if entry is None:
        return None
    params = {key: value for values in entry.get("params", {}).values() for key, value in values.items()}
    return {"deps": {dep["path"]: dep["md5"] for dep in entry.get("deps", [])}, "params": params}


def locked() -> dict[str, dict[str, Any]]:
    """Return the stages of dvc.lock by name; none if there is no such file."""
    return read_yaml(LOCK)["stages"] if LOCK.exists() else {}


def digest(value: object) -> str:
    """Return the SHA-256 of something that JSON can hold, however it is laid out there."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()


@functools.cache  # once in a process
def _warn() -> None:
    why = "nothing is committed yet" if root() else "this folder is no git repository"
    print(f"warning: {why}: the results name no commit; `git commit` before you run", file=sys.stderr)
