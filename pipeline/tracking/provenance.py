"""Where a result comes from: the git commit, the DVC stage, the hashes of everything the stage depends on."""

import hashlib
import json
import subprocess
from pathlib import Path

from pipeline.core import paths
from pipeline.core.files import checksum, read_yaml


def tags(stage: str) -> dict[str, str]:
    """MLflow tags of a run that `stage` (as in `train@custom_cnn`) makes: commit, stage, `dep.PATH` hashes (MD5)."""
    return git() | {"dvc.stage": stage} | {f"dep.{path}": md5 for path, md5 in dependencies(stage).items()}


def git(prefix: str = "") -> dict[str, str]:
    """The commit that is checked out, and whether code or params differ from it; the tags begin with `prefix`."""
    commit = _git("rev-parse", "HEAD") or "none"
    changed = "true" if _git("status", "--porcelain", "--", "pipeline", "conf", "dvc.yaml", "params.yaml") else "false"
    return {f"{prefix}git.commit": commit, f"{prefix}git.changed": changed}


def dependencies(stage: str) -> dict[str, str]:
    """MD5 of each path in the `deps` of a stage in dvc.yaml.

    Of a path that another stage writes, the hash is the one DVC recorded in dvc.lock when that stage ended; a folder
    that holds several such outputs contributes each of them.
    """
    made = _outs()
    hashes = {}
    for path in _listed(stage, "deps"):
        if Path(path).is_file() and path not in made:
            hashes[path] = checksum(Path(path), "md5")
        hashes |= {out: md5 for out, md5 in made.items() if Path(out).is_relative_to(path)}
    return hashes


def identity(stage: str) -> str:
    """SHA-256 over all that a stage is made of: the hashes of its dependencies, and its params."""
    values = read_yaml(paths.PARAMS)
    params = {}
    for name in _listed(stage, "params"):
        params[name] = values
        for key in name.split("."):
            params[name] = params[name][key]
    return _digest([dependencies(stage), params])


def recorded(stage: str) -> str:
    """SHA-256 of what dvc.lock says of a stage: another one whenever DVC has recorded its end."""
    return _digest(_lock().get(stage))


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def _listed(stage: str, key: str) -> list[str]:
    """What dvc.yaml lists under `deps` or `params` of a stage."""
    name, _, item = stage.partition("@")
    definition = read_yaml(Path("dvc.yaml"))["stages"][name]
    return [entry.replace("${key}", item) for entry in definition.get("do", definition).get(key, [])]


def _outs() -> dict[str, str]:
    return {out["path"]: out["md5"] for stage in _lock().values() for out in stage.get("outs", [])}


def _lock() -> dict:
    lock = Path("dvc.lock")
    return read_yaml(lock)["stages"] if lock.exists() else {}


def _git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], capture_output=True, text=True).stdout.strip()
