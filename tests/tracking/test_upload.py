"""MLflow brought into line with the files: what a run lacks is logged, once."""

import mlflow
import numpy as np
import pytest
from mlflow import MlflowClient
from mlflow.entities import LoggedModelOutput

from pipeline.core import params
from pipeline.tracking import logged_models, runs, store, upload, view
from tests import tiny

pytestmark = pytest.mark.usefixtures("inside")
NAME = "custom_cnn"


@pytest.fixture
def elsewhere(tmp_path, monkeypatch) -> str:
    """The id of an experiment in a store of its own, which has nothing yet."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    return store.connect(params.load())


def test_a_run_has_all_that_files_know(elsewhere):
    shown = view.of(NAME)
    run = upload.upload(shown, elsewhere)
    assert (run.info.status, run.info.run_name, run.info.start_time) == ("FINISHED", NAME, shown.started)
    assert run.data.params == shown.params
    assert shown.metrics.items() <= run.data.metrics.items()
    assert {"training.epochs", "network.widths", "seed", "compute.precision", "data.validation_images"} <= {
        *shown.params
    }
    assert {"test_accuracy", "validation_nll", "test_recall_cat", "size_mb", "train_seconds"} <= {*shown.metrics}
    assert shown.tags.items() <= run.data.tags.items()
    assert len([key for key in run.data.tags if not key.startswith("mlflow.")]) < 15
    files = {file.path for file in MlflowClient().list_artifacts(run.info.run_id)}
    assert files == set(shown.artifacts) >= {"confusion.png", "report.csv", "validation.npy", "inputs.json"}
    seen = {used.dataset.name for used in run.inputs.dataset_inputs}
    assert seen == {"cifar10-train", "cifar10-validation", "cifar10-test"}
    for row in shown.epochs:
        assert dict(store.points(run.info.run_id, "val_loss"))[row["epoch"]] == row["val_loss"]


def test_doing_it_again_adds_nothing(elsewhere):
    first = upload.upload(view.of(NAME), elsewhere)
    second = upload.upload(view.of(NAME), elsewhere, force=True)
    assert second.info.run_id == first.info.run_id
    assert len(MlflowClient().search_runs([elsewhere])) == 1
    assert len(store.points(first.info.run_id, "loss")) == len(view.of(NAME).epochs)
    assert len(store.points(first.info.run_id, "test_accuracy")) == 1


@pytest.mark.parametrize("missing", ["metrics", "a model", "everything"])
def test_a_run_that_was_cut_short_is_completed(missing, elsewhere):
    shown = view.of(NAME)
    if missing == "everything":
        run_id = MlflowClient().create_run(elsewhere).info.run_id
        MlflowClient().set_tag(run_id, runs.ATTEMPT, "of nobody")
    run = upload.upload(shown, elsewhere)
    if missing == "metrics":
        MlflowClient().log_metric(run.info.run_id, "test_accuracy", 0.0)
    if missing == "a model":
        MlflowClient().delete_logged_model(logged_models.of_run(run).model_id)
    again = upload.upload(shown, elsewhere)
    assert again.info.run_id == run.info.run_id
    assert again.data.metrics["test_accuracy"] == shown.metrics["test_accuracy"]
    assert logged_models.model_uri(again)


def test_the_run_that_training_streamed_to_is_the_one_that_is_completed():
    found = runs.complete(f"train@{NAME}", view.of(NAME).fingerprint)
    assert "logged.from" not in found.data.tags
    assert runs.ATTEMPT in found.data.tags
    assert any(key.startswith("seconds") for key in found.data.metrics)


@pytest.mark.parametrize("entered", [True, False])
def test_a_model_that_was_begun_to_be_logged_is_finished_and_gives_what_keras_gives(entered, elsewhere, tmp_path):
    client = MlflowClient()
    run = client.create_run(elsewhere)
    begun = client.create_logged_model(elsewhere, name="model", source_run_id=run.info.run_id)
    if entered:
        client.log_outputs(run.info.run_id, [LoggedModelOutput(begun.model_id, 0)])
    model = tiny.keras_model(tmp_path / "model.keras")
    images = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), "uint8")
    found = {logged_models.log(run, tmp_path / "model.keras", images).model_uri for _ in range(2)}
    assert found == {f"models:/{begun.model_id}"}
    run = client.get_run(run.info.run_id)
    assert [output.model_id for output in run.outputs.model_outputs] == [begun.model_id]
    given = mlflow.pyfunc.load_model(found.pop()).predict(images)
    assert given == pytest.approx(model.predict(images, verbose=0), abs=1e-6)
