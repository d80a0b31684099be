"""`pipeline lineage` names the commit of a run, and says where that is not to be had."""

import subprocess

import mlflow
import pytest

from pipeline.lineage import run
from pipeline.tracking import runs


def git(*arguments: str) -> str:
    identity = ["-c", "user.name=A Test", "-c", "user.email=test@example.com"]
    return subprocess.run(["git", *identity, *arguments], check=True, capture_output=True, text=True).stdout.strip()


@pytest.mark.fault("a shallow clone, which lacks the commit of a run", chapter="surroundings")
def test_a_run_of_a_commit_that_a_shallow_clone_lacks_says_so(store, tmp_path, monkeypatch, record_property):
    for folder in ("origin", "project"):
        (tmp_path / folder).mkdir()
    monkeypatch.chdir(tmp_path / "origin")
    git("init", "--quiet")
    git("commit", "--quiet", "--allow-empty", "-m", "one")
    commit = git("rev-parse", "HEAD")
    git("commit", "--quiet", "--allow-empty", "-m", "two")
    git("clone", "--quiet", "--depth=1", f"file://{tmp_path}/origin", str(tmp_path / "project"))
    monkeypatch.chdir(tmp_path / "project")
    tags = {runs.STAGE: "train@custom_cnn", "git.commit": commit}
    with mlflow.start_run(run_name="custom_cnn", tags=tags) as begun:
        mlflow.log_text("x", "a.txt")

    def first() -> str:
        return next(run.verify(mlflow.get_run(begun.info.run_id))).text

    ending = f"custom_cnn, commit {commit[:10]}"
    assert first().endswith(f"{ending} (not in this shallow clone: `git fetch --unshallow`)")
    record_property("seen", first().partition("custom_cnn, ")[2])
    git("fetch", "--quiet", "--unshallow")
    assert first().endswith(ending)
