"""Where a result comes from: the git commit, and the inputs of its DVC stage, as dvc.lock has them."""

import hashlib
import json
import subprocess
from pathlib import Path
from typing import Any

from pipeline.core.files import read_yaml

LOCK = Path("dvc.lock")
Inputs = dict[str, Any]  # `deps`: MD5 by path; `params`: value by key


def git() -> dict[str, str]:
    """Return the commit that is checked out, and whether code or params differ from it, as tags of a run."""
    changed = _git("status", "--porcelain", "--", "pipeline", "conf", "dvc.yaml", "params.yaml")
    return {"git.commit": _git("rev-parse", "HEAD") or "none", "git.changed": "true" if changed else "false"}


def inputs(stage: str) -> Inputs:
    """Return what `stage` (as in `train@custom_cnn`) would be made of now, hashed by DVC.

    Raises dvc.exceptions.DvcException if dvc.yaml has no such stage.
    """
    from dvc.dependency import ParamsDependency  # half a second, for the few who need it
    from dvc.repo import Repo

    found: Inputs = {"deps": {}, "params": {}}
    with Repo() as repo:
        for dep in next(iter(repo.stage.collect(stage))).deps:
            if isinstance(dep, ParamsDependency):
                found["params"] |= dep.read_params()
            else:
                found["deps"][dep.def_path] = dep.get_hash().value
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


def _git(*arguments: str) -> str:
    result = subprocess.run(["git", *arguments], capture_output=True, text=True)
    return result.stdout.strip() if result.returncode == 0 else ""
