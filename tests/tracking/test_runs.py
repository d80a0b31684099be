"""Runs and the registry, in a real SQLite store in a temporary folder."""

import socket

import keras
import mlflow
import numpy as np
import pytest
from mlflow import MlflowClient
from mlflow.entities import LoggedModelOutput, Metric

from pipeline.core.errors import UserError
from pipeline.tracking import logged_models, runs, store
from pipeline.tracking.attempts import Attempt
from pipeline.training.fit import HISTORY
from tests.conftest import ROOT

pytestmark = pytest.mark.usefixtures("store")


def status(run) -> str:
    return MlflowClient().get_run(run.info.run_id).info.status


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


def test_a_run_ends_finished_failed_or_killed():
    with runs.start("fine", {}) as fine:
        pass
    with pytest.raises(UserError), runs.start("wrong", {}) as wrong:
        raise UserError("training diverged")
    with pytest.raises(KeyboardInterrupt), runs.start("stopped", {}) as stopped:
        raise KeyboardInterrupt
    assert [status(run) for run in (fine, wrong, stopped)] == ["FINISHED", "FAILED", "KILLED"]
    assert MlflowClient().get_run(wrong.info.run_id).data.tags["ended"] == "UserError: training diverged"


def test_evaluation_goes_on_with_the_run_of_the_training():
    with runs.start("custom_cnn", {}) as run:
        store.log_metrics({"temperature": 1.5})
    with runs.resume(run.info.run_id, "evaluate@custom_cnn"):
        store.log_scores("test", {"accuracy": 0.9})
    data = MlflowClient().get_run(run.info.run_id).data
    assert data.metrics["temperature"] == 1.5
    assert data.metrics["test_accuracy"] == 0.9
    assert status(run) == "FINISHED"


def test_a_run_that_the_store_does_not_have_is_a_users_error():
    with pytest.raises(UserError, match=r"has no run .*pipeline restore"):
        runs.resume("0" * 32, "evaluate@custom_cnn").__enter__()


@pytest.fixture
def interrupted(checked):
    """Leave the run of an attempt behind as a process that was killed after an epoch does; return its id."""

    def leave(attempt: str) -> str:
        client = MlflowClient()
        experiment = client.get_experiment_by_name(checked.tracking.experiment).experiment_id
        run_id = client.create_run(experiment, tags={"attempt": attempt}, run_name="custom_cnn").info.run_id
        points = [Metric(metric, ROW[column], 0, 1) for metric, column in store.EPOCH.items()]
        client.log_batch(run_id, metrics=points)
        return run_id

    return leave


ROW = dict.fromkeys(HISTORY, 0.5) | {"epoch": 1}


def test_an_attempt_that_was_interrupted_goes_on_in_its_run_and_logs_no_epoch_twice(interrupted):
    run_id = interrupted("first")
    with runs.start("custom_cnn", {}, Attempt("first", None, None)) as run:
        for epoch in (1, 2):
            store.log_epoch(ROW | {"epoch": epoch})
    assert run.info.run_id == run_id
    for metric in ("val_loss", "val_accuracy"):
        assert [point.step for point in MlflowClient().get_metric_history(run_id, metric)] == [1, 2]
    assert MlflowClient().get_run(run_id).data.tags["resumed"] == "1"
    assert status(run) == "FINISHED"


def test_an_attempt_that_nobody_goes_on_with_is_closed(interrupted):
    run_id = interrupted("first")
    with runs.start("custom_cnn", {}, Attempt("second", "first", None)) as run:
        pass
    left = MlflowClient().get_run(run_id)
    assert run.info.run_id != run_id
    assert (left.info.status, left.data.tags["ended"]) == ("KILLED", "killed, and superseded after a change")


def test_a_receipt_holds_what_the_run_holds(checked):
    with runs.start("custom_cnn", {"profile": "default"}) as run:
        store.log_params(checked, checked.models["custom_cnn"])
        store.log_metrics({"temperature": 1.5})
        receipt = runs.receipt(run)
    stored = MlflowClient().get_run(run.info.run_id)
    assert (receipt["run_id"], receipt["name"], receipt["experiment"]) == (run.info.run_id, "custom_cnn", "cifar10")
    assert receipt["params"] == stored.data.params
    assert receipt["metrics"]["temperature"] == 1.5
    assert receipt["tags"]["profile"] == "default"


def test_every_candidate_has_the_same_param_names(checked):
    names = []
    for entry in [*checked.models.values(), None]:
        with runs.start("params", {}) as run:
            store.log_params(checked, entry, None if entry else {"custom_cnn": 1.0})
        names.append(set(MlflowClient().get_run(run.info.run_id).data.params))
    assert names[0] >= {"training.epochs", "trunk.resolution", "network.widths", "seed"}
    assert all(known == names[0] for known in names[:-1])
    assert names[-1] - names[0] == {"ensemble.weight.custom_cnn"}


def test_a_database_without_its_driver_is_a_users_error(checked, monkeypatch):
    word = "secret"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"postgresql+pg8000://me:{word}@127.0.0.1:9/store")
    with pytest.raises(UserError, match=r"me:\*\*\*@127.0.0.1:9/store failed: No module named 'pg8000'"):
        store.connect(checked)


def test_a_dead_tracking_server_stops_a_stage_before_any_work(run_stage, tmp_path):
    """One server that refuses, and one that accepts the connection and then says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        params = (ROOT / "params.yaml").read_text().replace("timeout: 5.0", "timeout: 0.5")
        (tmp_path / "params.yaml").write_text(params)
        result = run_stage("train", "custom_cnn", MLFLOW_TRACKING_URI=f"http://127.0.0.1:{port}")
    refused = run_stage("prepare", MLFLOW_TRACKING_URI=f"http://127.0.0.1:{port}")
    for outcome in (result, refused):
        assert outcome.returncode == 1
        assert outcome.stderr.count("\n") == 1
        assert f"the tracking server http://127.0.0.1:{port} does not answer" in outcome.stderr
    assert not (tmp_path / "models").exists()


@pytest.mark.parametrize("address", ["garbage://x", "mlruns", "/srv/mlruns", "file:///srv/mlruns"])
def test_an_address_that_mlflow_cannot_open_stops_a_stage_before_any_work(address, run_stage):
    result = run_stage("prepare", MLFLOW_TRACKING_URI=address)
    assert (result.returncode, result.stderr.count("\n")) == (1, 1)
    assert result.stderr.startswith(f"error: MLFLOW_TRACKING_URI: {address} is no MLflow store")


@pytest.mark.parametrize("entered", [True, False])
def test_a_model_that_was_begun_to_be_logged_is_finished(entered, interrupted):
    run_id, client = interrupted("first"), MlflowClient()
    experiment = client.get_run(run_id).info.experiment_id
    begun = client.create_logged_model(experiment, name="model", source_run_id=run_id)
    if entered:
        client.log_outputs(run_id, [LoggedModelOutput(begun.model_id, 0)])
    inputs = keras.Input((32, 32, 3), dtype="uint8", name="images")
    pooled = keras.layers.GlobalAveragePooling2D()(keras.layers.Rescaling(1 / 255)(inputs))
    model = keras.Model(inputs, keras.layers.Dense(10, activation="softmax")(pooled))
    images = np.zeros((2, 32, 32, 3), "uint8")
    with runs.start("custom_cnn", {}, Attempt("first", None, None)) as run:
        addresses = {logged_models.log_model(model, images) for _ in range(2)}
    assert addresses == {f"models:/{begun.model_id}"}
    assert [output.model_id for output in client.get_run(run_id).outputs.model_outputs] == [begun.model_id]
    assert logged_models.model_uri(run) in addresses
    given = mlflow.pyfunc.load_model(addresses.pop()).predict(images)
    assert given == pytest.approx(model.predict(images, verbose=0), abs=1e-6)
