"""A training in MLflow while it goes: its run, its end, and a store that fails under it."""

import mlflow
import pytest
from mlflow import MlflowClient
from mlflow.entities import Metric

from pipeline.core.errors import UserError
from pipeline.tracking import runs, stream
from pipeline.tracking.attempts import Attempt

pytestmark = pytest.mark.usefixtures("store")
ROW = {
    "epoch": 1,
    "loss": 0.5,
    "accuracy": 0.5,
    "val_loss": 0.5,
    "val_accuracy": 0.5,
    "learning_rate": 0.5,
    "seconds": 2,
}


def attempt(name: str, superseded: str | None = None, tmp_path=None) -> Attempt:
    return Attempt(name, "inputs", superseded, tmp_path)


def shown(name: str = "custom_cnn"):
    """The newest run of that name."""
    query = f"attributes.run_name = '{name}'"
    return mlflow.search_runs(search_all_experiments=True, filter_string=query, output_format="list")[0]


def test_a_run_ends_finished_failed_or_killed():
    with stream.stream("fine", {}, {"seed": "0"}, attempt("1")) as live:
        live.epoch(ROW)
    with pytest.raises(UserError), stream.stream("wrong", {}, {}, attempt("2")):
        raise UserError("training diverged")
    with pytest.raises(KeyboardInterrupt), stream.stream("stopped", {}, {}, attempt("3")):
        raise KeyboardInterrupt
    assert [shown(name).info.status for name in ("fine", "wrong", "stopped")] == ["FINISHED", "FAILED", "KILLED"]
    assert shown("fine").data.params == {"seed": "0"}
    assert shown("fine").data.metrics["val_accuracy"] == 0.5
    assert shown("wrong").data.tags["ended"] == "UserError: training diverged"


@pytest.fixture
def interrupted(checked):
    """Leave the run of an attempt behind as a process that was killed after an epoch does; return its id."""

    def leave(name: str) -> str:
        client = MlflowClient()
        experiment = client.get_experiment_by_name(checked.tracking.experiment).experiment_id
        run_id = client.create_run(experiment, tags={runs.ATTEMPT: name}, run_name="custom_cnn").info.run_id
        client.log_batch(run_id, metrics=[Metric(key, ROW[key], 0, 1) for key in (*stream.EPOCH, stream.SECONDS)])
        return run_id

    return leave


def test_an_attempt_that_was_interrupted_resumes_in_its_run_and_logs_no_epoch_twice(interrupted):
    run_id = interrupted("first")
    with stream.stream("custom_cnn", {}, {}, attempt("first")) as live:
        for epoch in (1, 2):
            live.epoch(ROW | {"epoch": epoch})
    assert shown().info.run_id == run_id
    for metric in ("val_loss", "val_accuracy"):
        assert [point.step for point in MlflowClient().get_metric_history(run_id, metric)] == [1, 2]
    assert shown().data.tags["resumed"] == "1"
    assert shown().info.status == "FINISHED"


def test_an_attempt_that_nobody_resumes_is_closed(interrupted):
    run_id = interrupted("first")
    with stream.stream("custom_cnn", {}, {}, attempt("second", "first")):
        pass
    left = MlflowClient().get_run(run_id)
    assert shown().info.run_id != run_id
    assert (left.info.status, left.data.tags["ended"]) == ("KILLED", "killed, and superseded after a change")


def test_a_training_that_gives_a_known_model_names_its_run(interrupted):
    known = interrupted("first")
    for key, value in ((runs.STAGE, "train@custom_cnn"), (runs.FINGERPRINT, "f")):
        MlflowClient().set_tag(known, key, value)
    with stream.stream("again", {}, {}, attempt("second")) as live:
        live.result("train@custom_cnn", "f")
    assert shown("again").data.tags["repeats"] == known


def test_a_store_that_fails_costs_a_warning_and_no_training(tmp_path, capsys):
    with stream.stream("custom_cnn", {}, {}, attempt("first")) as live:
        live.epoch(ROW)
        (tmp_path / "mlruns/mlflow.db").rename(tmp_path / "gone.db")
        (tmp_path / "mlruns/mlflow.db").mkdir()
        mlflow.set_tracking_uri(f"sqlite:///{tmp_path}/nowhere/else/mlflow.db\0")
        for epoch in (2, 3):
            live.epoch(ROW | {"epoch": epoch})
        mlflow.set_tracking_uri(f"sqlite:///{tmp_path}/gone.db")
    assert capsys.readouterr().err.count("warning: ") == 1
