"""A store that was moved loads its champion again after one command."""

import shutil
import sqlite3
from pathlib import Path

import mlflow
import numpy as np
import pytest
from click.testing import CliRunner

from pipeline.cli import relocate as relocate_command
from pipeline.core import paths
from pipeline.core.errors import UserError
from pipeline.recovery import relocate
from pipeline.tracking import store

MODEL = "cifar10-classifier"


@pytest.fixture
def moved(small, tmp_path, monkeypatch) -> Path:
    """The folder that a store was moved to, its old place empty. Where it is has a name that a URI must quote."""
    first, second = tmp_path / "first place", tmp_path / "second place"
    shutil.copytree(small.folder / "mlruns", first / "mlruns")
    relocate.relocate(first / "mlruns")  # a copy is one that was moved
    shutil.move(first, second)
    monkeypatch.chdir(second)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return second / "mlruns"


@pytest.mark.fault("a store that was moved")
def test_the_champion_loads_by_alias_and_stage_and_gives_the_same(moved, small, checked):
    with pytest.raises(UserError, match=r"`pipeline relocate '/.*/second place/mlruns'` mends"):
        store.connect(checked)
    ((old, changed),) = relocate.relocate(moved).items()
    assert old == moved.parent.parent / "first place/mlruns"
    assert changed > 5
    mlflow.set_tracking_uri(f"sqlite:///{moved}/mlflow.db")
    images = np.load(small.folder / paths.TEST / "images.npy")
    expected = np.load(small.folder / paths.ENSEMBLE / "test.npy")
    for address in (f"models:/{MODEL}@champion", f"models:/{MODEL}/Production"):
        assert mlflow.pyfunc.load_model(address).predict(images) == pytest.approx(expected, abs=1e-5)
    with sqlite3.connect(moved / "mlflow.db") as connection:
        assert "first place" not in "\n".join(connection.iterdump())
        assert "first%20place" not in "\n".join(connection.iterdump())


@pytest.mark.usefixtures("store")
def test_the_command_says_how_many_paths_changed_from_where_to_where(tmp_path, tmp_path_factory, monkeypatch):
    place = tmp_path_factory.mktemp("new place")
    shutil.move(tmp_path / "mlruns", place)
    monkeypatch.chdir(place)
    told = CliRunner().invoke(relocate_command.command, []).output
    assert told == f"mlruns: 1 paths changed from {tmp_path}/mlruns to {place}/mlruns\n"
    assert CliRunner().invoke(relocate_command.command, []).output == "mlruns: nothing to mend\n"


def test_doing_it_again_changes_nothing(moved):
    relocate.relocate(moved)
    assert relocate.relocate(moved) == {}


def test_experiments_made_in_several_places_are_all_mended(moved):
    """Moved, used for a new experiment, and moved again; an experiment on a server is left alone."""
    places = [("between", (moved.parent.parent / "third place/mlruns/artifacts").as_uri()), ("far", "s3://x/artifacts")]
    with sqlite3.connect(moved / "mlflow.db") as connection:
        connection.executemany("insert into experiments (name, artifact_location) values (?, ?)", places)
    relocate.relocate(moved)
    with sqlite3.connect(moved / "mlflow.db") as connection:
        found = dict(connection.execute("select name, artifact_location from experiments"))
    own = (moved / "artifacts").as_uri()
    assert (found["cifar10"], found["between"], found["far"]) == (own, own, "s3://x/artifacts")


@pytest.mark.fault("a store that is relocated while it is written to")
def test_a_store_that_is_written_to_is_left_alone(moved, monkeypatch):
    monkeypatch.setattr(relocate, "PATIENCE", 0.1)
    before = (moved / "mlflow.db").read_bytes()
    with sqlite3.connect(moved / "mlflow.db", isolation_level=None) as connection:
        connection.execute("BEGIN IMMEDIATE")
        with pytest.raises(UserError, match="is in use"):
            relocate.relocate(moved)
        connection.execute("ROLLBACK")
    assert (moved / "mlflow.db").read_bytes() == before


@pytest.mark.parametrize("content", [None, b"", b"no database at all" * 100])
def test_what_is_no_store_is_refused(content, tmp_path):
    if content is not None:
        (tmp_path / "mlflow.db").write_bytes(content)
    with pytest.raises(UserError, match="does not exist" if content is None else "is no store of this workflow"):
        relocate.relocate(tmp_path)
