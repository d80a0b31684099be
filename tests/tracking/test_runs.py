"""The MLflow store, and runs that are found by what they made, in a real SQLite store in a temporary folder."""

import mlflow
import pytest
from mlflow import MlflowClient

from pipeline.core import paths
from pipeline.core.errors import UserError
from pipeline.core.files import write_json
from pipeline.tracking import runs

pytestmark = pytest.mark.usefixtures("store")

STAGE, FINGERPRINT = "train@custom_cnn", "f" * 64


@pytest.fixture
def experiment(checked) -> str:
    return mlflow.get_experiment_by_name(checked.tracking.experiment).experiment_id


def describe() -> None:
    """Write what stage `train` says of the model that is here."""
    facts = {"status": "trained", "fingerprint": FINGERPRINT}
    write_json(paths.candidate("custom_cnn") / "model.json", facts)


def test_a_complete_run_is_found_by_its_stage_and_model_whatever_its_experiment(experiment):
    client = MlflowClient()
    tags = {runs.STAGE: STAGE, runs.FINGERPRINT: FINGERPRINT}
    client.create_run(experiment, 1, {runs.STAGE: STAGE})  # one that was begun
    client.create_run(experiment, 2, tags)
    newest = client.create_run(client.create_experiment("another"), 3, tags)
    assert runs.complete(STAGE, FINGERPRINT).info.run_id == newest.info.run_id
    describe()
    assert runs.of("custom_cnn").info.run_id == newest.info.run_id
    assert runs.complete("ensemble", FINGERPRINT) is None
    client.delete_run(newest.info.run_id)
    assert runs.complete(STAGE, FINGERPRINT).info.start_time == 2


def test_a_model_that_the_store_has_no_run_of_is_a_users_error():
    assert runs.get("0" * 32) is None
    describe()
    with pytest.raises(UserError, match=r"has no run of train@custom_cnn with the model that is here: `pipeline rest"):
        runs.of("custom_cnn")
