"""The MLflow store: where it lies, and what is wrong with it in one line."""

import os
import socket
import subprocess
import sys

import mlflow
import pytest

from pipeline.core.errors import UserError
from pipeline.tracking import store
from tests.conftest import ROOT

pytestmark = pytest.mark.usefixtures("store")


def test_the_store_lies_under_mlruns(tmp_path, checked):
    assert (tmp_path / "mlruns/mlflow.db").is_file()
    location = mlflow.get_experiment_by_name(checked.tracking.experiment).artifact_location
    assert location == (tmp_path / "mlruns/artifacts").as_uri()


def test_who_shares_a_store_keeps_artifacts_beside_its_database_too(tmp_path, checked, monkeypatch):
    (tmp_path / "other").mkdir()
    monkeypatch.chdir(tmp_path / "other")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/shared/mlflow.db")
    store.connect(checked)
    location = mlflow.get_experiment_by_name(checked.tracking.experiment).artifact_location
    assert location == (tmp_path / "shared/artifacts").as_uri()


def test_a_database_without_its_driver_is_a_users_error(checked, monkeypatch):
    word = "secret"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"postgresql+pg8000://me:{word}@127.0.0.1:9/store")
    with pytest.raises(UserError, match=r"//\*\*\*@127.0.0.1:9/store failed: No module named 'pg8000'"):
        store.connect(checked)


def test_a_dead_tracking_server_stops_a_stage_before_any_work(run_stage, tmp_path):
    """One server that refuses, and one that accepts the connection and then says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        params = (ROOT / "params.yaml").read_text().replace("timeout: 5.0", "timeout: 0.5")
        (tmp_path / "params.yaml").write_text(params)
        result = run_stage("train", "custom_cnn", MLFLOW_TRACKING_URI=f"http://127.0.0.1:{port}")
    refused = run_stage("track", "custom_cnn", MLFLOW_TRACKING_URI=f"http://127.0.0.1:{port}")
    for outcome in (result, refused):
        assert outcome.returncode == 1
        assert outcome.stderr.count("\n") == 1
        assert f"the tracking server http://127.0.0.1:{port} does not answer" in outcome.stderr
    assert "does not answer (no answer in time: " in result.stderr
    assert "does not answer (the connection is refused: " in refused.stderr
    assert not (tmp_path / "models").exists()


@pytest.mark.parametrize("address", ["garbage://x", "mlruns", "/srv/mlruns", "file:///srv/mlruns"])
def test_an_address_that_mlflow_cannot_open_stops_a_stage_before_any_work(address, run_stage):
    result = run_stage("prepare", MLFLOW_TRACKING_URI=address)
    assert (result.returncode, result.stderr.count("\n")) == (1, 1)
    assert result.stderr.startswith(f"error: MLFLOW_TRACKING_URI: {address} is no MLflow store")


@pytest.mark.fault("an experiment that was deleted")
def test_of_a_deleted_experiment_the_line_says_how_it_comes_back(tmp_path, checked, record_property):
    name = checked.tracking.experiment
    identity = mlflow.get_experiment_by_name(name).experiment_id
    mlflow.delete_experiment(identity)
    with pytest.raises(UserError, match=f"the MLflow experiment {name} was deleted: `.*` brings it back") as caught:
        store.connect(checked)
    subprocess.run(str(caught.value).split("`")[1], shell=True, check=True)  # noqa: S602  the remedy, as it is printed
    assert store.connect(checked) == identity
    record_property("seen", str(caught.value).replace(str(tmp_path), ""))


REQUESTS = (
    "runs.get('0' * 32)",
    "runs.tagged({'a': 'b'})",
    "store.artifact('0' * 32, 'a.txt', pathlib.Path())",
    "promotion.settle('cifar10-classifier')",
    "versions.resolve('cifar10-classifier', '@champion')",
)
FAILING = """
import pathlib, sys, mlflow
from pipeline.core import errors
from pipeline.registry import promotion, versions
from pipeline.tracking import runs, store
mlflow.set_tracking_uri("http://127.0.0.1:9")
"""


@pytest.mark.fault("a store that fails, whatever it is asked")
def test_a_store_that_fails_is_a_line_wherever_it_does(record_property):
    code = FAILING + "\n".join(
        f"try: errors.run(lambda: {asked}), print('no error')\nexcept SystemExit as end: print(end, file=sys.stderr)"
        for asked in REQUESTS
    )
    variables = os.environ | {"PYTHONPATH": str(ROOT), "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0"}
    ended = subprocess.run([sys.executable, "-c", code], env=variables, capture_output=True, text=True)
    lines = ended.stderr.splitlines()
    assert (len(lines), ended.stdout) == (len(REQUESTS), ""), ended.stderr
    told = "error: the MLflow store http://127.0.0.1:9 failed: the connection is refused: nothing listens there"
    assert all(line.startswith(told) for line in lines)
    record_property("seen", lines[0])
