"""`pipeline lineage` names the commit of a run, and says where that is not to be had."""

from pathlib import Path

import mlflow
import pytest

from pipeline.lineage import run
from pipeline.tracking import runs
from tests.toy import git


@pytest.mark.fault("a shallow clone, which lacks the commit of a run", chapter="surroundings")
def test_a_run_of_a_commit_that_a_shallow_clone_lacks_says_so(store, tmp_path, monkeypatch, record_property):
    for folder in ("origin", "project"):
        (tmp_path / folder).mkdir()
    monkeypatch.chdir(tmp_path / "origin")
    git(Path(), "init", "--quiet")
    git(Path(), "commit", "--quiet", "--allow-empty", "-m", "one")
    commit = git(Path(), "rev-parse", "HEAD").strip()
    git(Path(), "commit", "--quiet", "--allow-empty", "-m", "two")
    git(Path(), "clone", "--quiet", "--depth=1", f"file://{tmp_path}/origin", str(tmp_path / "project"))
    monkeypatch.chdir(tmp_path / "project")
    tags = {runs.STAGE: "train@custom_cnn", "git.commit": commit}
    with mlflow.start_run(run_name="custom_cnn", tags=tags) as begun:
        mlflow.log_text("x", "a.txt")

    def first() -> str:
        return next(run.verify(mlflow.get_run(begun.info.run_id))).text

    ending = f"custom_cnn, commit {commit[:10]}"
    assert first().endswith(f"{ending} (not in this shallow clone: `git fetch --unshallow`)")
    record_property("seen", first().partition("custom_cnn, ")[2])
    git(Path(), "fetch", "--quiet", "--unshallow")
    assert first().endswith(ending)
