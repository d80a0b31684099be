"""What DVC and MLflow were killed in writing is put back, or deleted; what is whole is not touched."""

import contextlib
import os
import re
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pipeline.core import files, params, paths
from pipeline.core.errors import UserError
from pipeline.recovery import mend
from pipeline.tracking import store
from pipeline.tracking.provenance import LOCK
from tests.conftest import ROOT
from tests.console import pipeline
from tests.toy import committed, git, project

STORE = Path("mlruns")
MAKE = """
import pathlib, sys
from pipeline.core import params
from pipeline.tracking import store
store.connect(params.load(pathlib.Path(sys.argv[1])))
"""
TABLES = "SELECT count(*) FROM sqlite_master WHERE type = 'table'"


@pytest.fixture
def lock(tmp_path, monkeypatch) -> bytes:
    """A whole dvc.lock, kept when the last stage began; return its content."""
    monkeypatch.chdir(tmp_path)
    content = (ROOT / LOCK).read_bytes()
    LOCK.write_bytes(content)
    paths.LOCK_KEPT.parent.mkdir()
    paths.LOCK_KEPT.write_bytes(content)
    return content


@pytest.mark.fault("dvc.lock cut off, by bytes")
@pytest.mark.parametrize("length", [0, 10, 1000, 30_000, -1])
def test_a_lock_that_was_cut_off_is_put_back(length, lock):
    LOCK.write_bytes(lock[:length])
    assert mend.lock()
    assert LOCK.read_bytes() == lock


def test_a_whole_lock_and_none_at_all_are_left_alone(lock):
    LOCK.write_bytes(lock + b"# more\n")
    assert not mend.lock()
    assert LOCK.read_bytes() != lock
    LOCK.unlink()
    assert not mend.lock()
    assert not LOCK.exists()


def test_without_a_kept_lock_the_user_is_told(lock):
    paths.LOCK_KEPT.unlink()
    LOCK.write_bytes(b"stages:\n  x")
    with pytest.raises(UserError, match=r"git checkout dvc\.lock"):
        mend.lock()


def test_a_stage_keeps_the_lock_that_it_was_begun_with(run_stage, tmp_path):
    (tmp_path / LOCK).write_text("stages: {}\n")
    run_stage("prepare", DVC_STAGE="prepare")
    assert (tmp_path / paths.LOCK_KEPT).read_text() == "stages: {}\n"


@pytest.mark.fault("DVC killed in writing who runs, of which is left")
@pytest.mark.parametrize("left", ["", '{"read": {'])
def test_a_damaged_list_of_running_commands_is_deleted_and_a_whole_one_is_not(left, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert not mend.running()
    mend.RUNNING.parent.mkdir(parents=True)
    mend.RUNNING.write_text('{"read": {}}')
    assert not mend.running()
    mend.RUNNING.write_text(left)
    assert mend.running()
    assert not mend.RUNNING.exists()


def tables() -> int:
    """Count those that the store has so far."""
    if not (STORE / "mlflow.db").exists():
        return 0
    with contextlib.closing(sqlite3.connect(STORE / "mlflow.db", 30)) as connection:
        return connection.execute(TABLES).fetchone()[0]


@pytest.mark.fault("MLflow is killed in making its store, at a number of tables")
@pytest.mark.parametrize("moment", [1, *(pytest.param(later, marks=pytest.mark.slow) for later in (20, 30))])
def test_a_store_that_was_begun_is_deleted_and_made_anew(moment, checked, tmp_path, monkeypatch, record_property):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    process = subprocess.Popen([sys.executable, "-c", MAKE, str(ROOT / "params.yaml")], env=environment)
    while tables() < moment and process.poll() is None:
        time.sleep(0.001)
    process.kill()
    process.wait()
    record_property("seen", f"killed when it had {tables()} tables")
    assert mend.store(STORE)
    assert not (STORE / "mlflow.db").exists()
    store.connect(checked)
    assert not mend.store(STORE)


@pytest.mark.usefixtures("store")
def test_a_new_store_is_left_alone():
    assert not mend.store(STORE)
    assert tables() > 30


def test_what_is_no_database_is_left_alone(tmp_path):
    assert not mend.store(tmp_path)
    (tmp_path / "mlflow.db").write_text("no database\n" * 100)
    assert not mend.store(tmp_path)
    assert (tmp_path / "mlflow.db").exists()


@pytest.fixture
def merging(tmp_path, monkeypatch):
    """Return what leaves a merge conflict in a file of a repository, which is the current folder."""
    monkeypatch.chdir(project(tmp_path, **dict.fromkeys(("dvc.lock", "dvc.yaml", "registry.json"), "a: 1\n")))

    def merge(name: str) -> bytes:
        for branch, text in (("theirs", "a: 2\n"), ("main", "a: 3\n")):
            git(Path(), "checkout", "--quiet", *(["-B"] if branch == "theirs" else []), branch)
            Path(name).write_text(text)
            committed(Path(), branch)
        with pytest.raises(subprocess.CalledProcessError):
            git(Path(), "merge", "theirs")
        return Path(name).read_bytes()

    return merge


@pytest.mark.fault("a merge conflict in", chapter="surroundings")
@pytest.mark.parametrize("name", ["dvc.lock", "dvc.yaml", "params.yaml", "registry.json"])
def test_a_merge_conflict_is_named_and_kept(name, merging, record_property):
    content = merging(name)
    files.copy(ROOT / LOCK, paths.LOCK_KEPT)
    result = pipeline("mend", cwd=Path())
    assert result.returncode == 1
    assert re.fullmatch(rf"error: {name} has a merge conflict: .*`git checkout --ours {name}` .*\n", result.stderr)
    assert Path(name).read_bytes() == content
    record_property("seen", result.stderr)
    git(Path(), "checkout", "--theirs", name)
    assert b"<<<" not in Path(name).read_bytes()


def test_readers_of_files_name_a_merge_conflict(merging):
    merging("registry.json")
    with pytest.raises(UserError, match=r"^registry\.json has a merge conflict"):
        files.read_json(paths.REGISTRY)
    git(Path(), "merge", "--abort")
    merging("params.yaml")
    with pytest.raises(UserError, match=r"^params\.yaml has a merge conflict"):
        params.load()
