"""The MLflow store, and runs that are found by what they made, in a real SQLite store in a temporary folder."""

import mlflow
import pytest
from mlflow import MlflowClient

from pipeline.core.errors import UserError
from pipeline.tracking import runs

pytestmark = pytest.mark.usefixtures("store")

STAGE, FINGERPRINT = "train@custom_cnn", "f" * 64


@pytest.fixture
def experiment(checked) -> str:
    return mlflow.get_experiment_by_name(checked.tracking.experiment).experiment_id


def test_a_complete_run_is_found_by_its_stage_and_model_whatever_its_experiment(experiment):
    client = MlflowClient()
    tags = {runs.STAGE: STAGE, runs.FINGERPRINT: FINGERPRINT}
    client.create_run(experiment, 1, {runs.STAGE: STAGE})  # one that was begun
    client.create_run(experiment, 2, tags)
    newest = client.create_run(client.create_experiment("another"), 3, tags)
    assert runs.complete(STAGE, FINGERPRINT).info.run_id == newest.info.run_id
    assert runs.require(STAGE, FINGERPRINT).info.run_id == newest.info.run_id
    assert runs.complete("ensemble", FINGERPRINT) is None
    client.delete_run(newest.info.run_id)
    assert runs.complete(STAGE, FINGERPRINT).info.start_time == 2


def test_a_model_that_the_store_has_no_run_of_is_a_users_error():
    assert runs.get("0" * 32) is None
    with pytest.raises(UserError, match=r"has no run of train@custom_cnn with the model that is here: `pipeline rest"):
        runs.require(STAGE, FINGERPRINT)


def test_a_child_replaces_the_one_of_its_name_and_fails_with_its_block(experiment):
    client = MlflowClient()
    parent = client.create_run(experiment)
    with runs.child(parent, "export", {"a": "1"}) as first:
        pass
    with runs.child(parent, "another", {}):
        pass
    with pytest.raises(OSError), runs.child(parent, "export", {"a": "2"}) as second:
        raise OSError
    assert client.get_run(first).info.lifecycle_stage == "deleted"
    assert (client.get_run(second).info.status, client.get_run(second).data.tags["a"]) == ("FAILED", "2")
    below = runs.tagged({"mlflow.parentRunId": parent.info.run_id})
    assert {run.info.run_name for run in below} == {"export", "another"}
