"""Where a result comes from: the git commit, the DVC stage, the hashes of everything the stage depends on."""

import subprocess
from pathlib import Path

from pipeline.files import checksum, read_yaml


def tags(stage: str) -> dict[str, str]:
    """MLflow tags of a run that `stage` (as in `train@custom_cnn`) makes: commit, stage, `dep.PATH` hashes (MD5)."""
    return git() | {"dvc.stage": stage} | {f"dep.{path}": md5 for path, md5 in dependencies(stage).items()}


def git() -> dict[str, str]:
    """The commit that is checked out, and whether code or params differ from it."""
    commit = _git("rev-parse", "HEAD") or "none"
    changed = "true" if _git("status", "--porcelain", "--", "pipeline", "dvc.yaml", "params.yaml") else "false"
    return {"git.commit": commit, "git.changed": changed}


def dependencies(stage: str) -> dict[str, str]:
    """MD5 of each path in the `deps` of a stage in dvc.yaml.

    Of a path that another stage writes, the hash is the one DVC recorded in dvc.lock when that stage ended; a folder
    that holds several such outputs contributes each of them.
    """
    name, _, key = stage.partition("@")
    definition = read_yaml(Path("dvc.yaml"))["stages"][name]
    recorded = _recorded()
    hashes = {}
    for dep in definition.get("do", definition)["deps"]:
        path = dep.replace("${key}", key)
        if Path(path).is_file() and path not in recorded:
            hashes[path] = checksum(Path(path), "md5")
        hashes |= {out: md5 for out, md5 in recorded.items() if Path(out).is_relative_to(path)}
    return hashes


def _recorded() -> dict[str, str]:
    lock = Path("dvc.lock")
    stages = read_yaml(lock)["stages"] if lock.exists() else {}
    return {out["path"]: out["md5"] for stage in stages.values() for out in stage.get("outs", [])}


def _git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], capture_output=True, text=True).stdout.strip()
