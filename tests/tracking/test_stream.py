"""A training, shown in a real MLflow store while it goes."""

import mlflow
import pytest
from mlflow import MlflowClient

from pipeline.core.errors import UserError
from pipeline.tracking import runs
from pipeline.tracking.attempts import Attempt
from pipeline.tracking.stream import EPOCH, SECONDS, stream
from tests.conftest import ROOT

pytestmark = pytest.mark.usefixtures("store")

STAGE, FINGERPRINT = "train@custom_cnn", "f" * 64


def attempt(name: str, superseded: str | None = None) -> Attempt:
    return Attempt(name, "inputs", superseded, ROOT)


def epoch(number: int) -> dict[str, float]:
    return dict.fromkeys((*EPOCH, SECONDS), number / 10) | {"epoch": number}


def begun(name: str = "first") -> str:
    """Leave the run of an attempt behind as a process that was killed after an epoch does; return its id."""
    with stream("custom_cnn", {runs.STAGE: STAGE}, {"seed": "0"}, attempt(name)) as live:
        live.epoch(epoch(1))
        run_id = mlflow.active_run().info.run_id
    MlflowClient().update_run(run_id, "RUNNING")
    return run_id


def steps(run_id: str, metric: str = "val_loss") -> list[int]:
    return [point.step for point in MlflowClient().get_metric_history(run_id, metric)]


def newest():
    return mlflow.search_runs(search_all_experiments=True, output_format="list")[0]


def test_a_run_has_tags_params_and_each_epoch_once():
    run = MlflowClient().get_run(begun())
    assert (run.data.tags[runs.STAGE], run.data.tags[runs.INPUTS], run.data.params) == (STAGE, "inputs", {"seed": "0"})
    assert runs.FINGERPRINT not in run.data.tags  # which stage `track` sets when all is there
    assert all(steps(run.info.run_id, metric) == [1] for metric in (*EPOCH, SECONDS))


@pytest.mark.parametrize(
    ("error", "status", "ended"),
    [
        (None, "FINISHED", None),
        (UserError("training diverged"), "FAILED", "UserError: training diverged"),
        (KeyboardInterrupt(), "KILLED", "KeyboardInterrupt: "),
    ],
)
def test_a_run_ends_finished_failed_or_killed(error, status, ended):
    def train() -> None:
        with stream("custom_cnn", {}, {}, attempt("first")):
            if error:
                raise error

    if error is None:
        train()
    else:
        with pytest.raises(type(error)):
            train()
    assert (newest().info.status, newest().data.tags.get(runs.ENDED)) == (status, ended)


def test_an_attempt_that_was_interrupted_goes_on_in_its_run_and_logs_no_epoch_twice():
    run_id = begun()
    with stream("custom_cnn", {}, {}, attempt("first")) as live:
        for number in (1, 2):
            live.epoch(epoch(number))
    assert (newest().info.run_id, newest().info.status) == (run_id, "FINISHED")
    assert steps(run_id) == [1, 2]
    assert newest().data.tags["resumed"] == "1"


def test_an_attempt_that_nobody_goes_on_with_is_closed():
    run_id = begun()
    with stream("custom_cnn", {}, {}, attempt("second", "first")):
        pass
    left = MlflowClient().get_run(run_id)
    assert newest().info.run_id != run_id
    assert (left.info.status, left.data.tags["ended"]) == ("KILLED", "killed, and superseded after a change")


def test_a_training_that_gives_a_model_again_says_which_run_has_it():
    first = begun()
    MlflowClient().set_tag(first, runs.FINGERPRINT, FINGERPRINT)
    with stream("custom_cnn", {}, {}, attempt("second")) as live:
        live.result(STAGE, FINGERPRINT)
    assert newest().data.tags["repeats"] == first


@pytest.mark.fault("a store that fails before the training, or in it")
@pytest.mark.parametrize("works", [0, 1])
def test_a_store_that_fails_costs_one_warning_and_no_training(works, monkeypatch, capsys):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    uri, trained = mlflow.get_tracking_uri(), []
    if not works:
        mlflow.set_tracking_uri("http://127.0.0.1:9")
    with stream("custom_cnn", {}, {}, attempt("first")) as live:
        for number in (1, 2, 3):
            if number > works:
                mlflow.set_tracking_uri("http://127.0.0.1:9")
            live.epoch(epoch(number))
            trained.append(number)
        live.result(STAGE, FINGERPRINT)
    told = capsys.readouterr().err
    mlflow.set_tracking_uri(uri)
    assert trained == [1, 2, 3]
    assert told.startswith("warning: http://127.0.0.1:9 failed: training goes on, `dvc repro` logs it later (")
    assert "(the connection is refused: nothing listens there" in told
    assert told.count("\n") == 1
