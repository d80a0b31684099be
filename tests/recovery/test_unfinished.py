"""An SQLite store that MLflow was killed in making is begun anew; one that has anything in it is not touched."""

import contextlib
import os
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pipeline.recovery import unfinished
from pipeline.tracking import store
from tests.conftest import ROOT

STORE = Path("mlruns")
MAKE = """
import pathlib, sys
from pipeline.core import params
from pipeline.tracking import store
store.connect(params.load(pathlib.Path(sys.argv[1])))
"""
TABLES = "SELECT count(*) FROM sqlite_master WHERE type = 'table'"


def tables() -> int:
    """How many the store has so far."""
    if not (STORE / "mlflow.db").exists():
        return 0
    with contextlib.closing(sqlite3.connect(STORE / "mlflow.db", 30)) as connection:
        return connection.execute(TABLES).fetchone()[0]


@pytest.mark.fault("MLflow is killed in making its store, at a number of tables")
@pytest.mark.parametrize("moment", [1, 20, 30])
def test_what_was_begun_is_deleted_and_made_anew(moment, checked, tmp_path, monkeypatch, record_property):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    process = subprocess.Popen([sys.executable, "-c", MAKE, str(ROOT / "params.yaml")], env=environment)
    while tables() < moment and process.poll() is None:
        time.sleep(0.001)
    process.kill()
    process.wait()
    record_property("seen", f"killed when it had {tables()} tables")
    assert unfinished.discard(STORE)
    assert not (STORE / "mlflow.db").exists()
    store.connect(checked)
    assert not unfinished.discard(STORE)


@pytest.mark.usefixtures("store")
def test_a_new_store_is_left_alone():
    assert not unfinished.discard(STORE)
    assert tables() > 30


def test_what_is_no_database_is_left_alone(tmp_path):
    assert not unfinished.discard(tmp_path)
    (tmp_path / "mlflow.db").write_text("no database\n" * 100)
    assert not unfinished.discard(tmp_path)
    assert (tmp_path / "mlflow.db").exists()
