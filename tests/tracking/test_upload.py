"""A run brought into line with what the files say, in a real SQLite store in a temporary folder."""

import dataclasses
import json
from pathlib import Path

import mlflow
import numpy as np
import pytest
from mlflow import MlflowClient
from mlflow.entities import LoggedModelOutput

from pipeline.core import paths
from pipeline.data import splits
from pipeline.formats import keras_archive
from pipeline.tracking import logged_models, runs, stream, upload
from pipeline.tracking.view import View
from tests import tiny

pytestmark = pytest.mark.usefixtures("store")

STAGE = "train@custom_cnn"
EPOCHS = [dict.fromkeys(stream.EPOCH, number / 10) | {"epoch": float(number)} for number in (1, 2, 3)]


@pytest.fixture
def experiment(checked) -> str:
    return mlflow.get_experiment_by_name(checked.tracking.experiment).experiment_id


@pytest.fixture
def view(store) -> View:
    """What is to be shown of a small model."""
    for folder, first in ((paths.TRAIN, 0), (paths.VALIDATION, 1), (paths.TEST, 2)):
        splits.save(folder, np.full((4, 32, 32, 3), first, "uint8"), np.arange(4, dtype="uint8"))
    tiny.keras_model(Path("model.keras"))
    return View(
        name="custom_cnn",
        stage=STAGE,
        fingerprint=keras_archive.fingerprint(Path("model.keras")),
        inputs="i" * 64,
        started=1_000_000,
        tags={runs.STAGE: STAGE, "profile": "default"},
        params={"seed": "0"},
        metrics={"test_accuracy": 0.9},
        epochs=EPOCHS,
        artifacts={"a.csv": b"1\n"},
        model=Path("model.keras"),
    )


def all_runs() -> list:
    return mlflow.search_runs(search_all_experiments=True, output_format="list")


def content(run, name: str) -> bytes:
    return Path(mlflow.artifacts.download_artifacts(run_id=run.info.run_id, artifact_path=name)).read_bytes()


def state(run) -> tuple:
    client = MlflowClient()
    found = client.get_run(run.info.run_id)
    history = {key: client.get_metric_history(run.info.run_id, key) for key in found.data.metrics}
    points = {key: [(point.step, point.value) for point in points] for key, points in history.items()}
    return found.info.status, found.data.tags, found.data.params, points, found.outputs.model_outputs


def test_a_new_run_has_all_that_the_files_say(view, experiment):
    run = upload.upload(view, experiment)
    assert (run.info.run_name, run.info.status, run.info.start_time) == ("custom_cnn", "FINISHED", 1_000_000)
    tags = view.tags | {runs.INPUTS: view.inputs, runs.FINGERPRINT: view.fingerprint}
    assert tags.items() <= run.data.tags.items()
    assert (run.data.params, run.data.metrics["test_accuracy"]) == ({"seed": "0"}, 0.9)
    points = MlflowClient().get_metric_history(run.info.run_id, "val_accuracy")
    assert [(point.step, point.value) for point in points] == [(1, 0.1), (2, 0.2), (3, 0.3)]
    assert content(run, "a.csv") == b"1\n"
    used = {seen.dataset.name: seen.tags[0].value for seen in run.inputs.dataset_inputs}
    assert used == {"cifar10-train": "training", "cifar10-validation": "validation", "cifar10-test": "test"}
    images = splits.images(paths.TRAIN)
    given = mlflow.pyfunc.load_model(logged_models.model_uri(run)).predict(images)
    assert given.shape == (4, 10)


def test_doing_it_again_changes_nothing(view, experiment):
    first = upload.upload(view, experiment)
    before = state(first)
    assert upload.upload(view, experiment).info.run_id == first.info.run_id
    assert state(first) == before
    assert len(all_runs()) == len(mlflow.search_logged_models(output_format="list")) == 1


def streamed(view: View, experiment: str, inputs: str) -> str:
    """The run of a training that was cut off from the store after an epoch; return its id."""
    tags = {runs.ATTEMPT: "x", runs.INPUTS: inputs, runs.ENDED: "a reason"}
    run = MlflowClient().create_run(experiment, tags=tags, run_name="custom_cnn")
    stream.log_epochs(run.info.run_id, EPOCHS[:1])
    folder = paths.CHECKPOINTS / view.stage
    folder.mkdir(parents=True)
    (folder / "attempt.json").write_text(json.dumps({"id": "x", "inputs": inputs}))
    return run.info.run_id


def test_the_run_that_training_streamed_to_is_completed_and_each_epoch_is_there_once(view, experiment):
    run_id = streamed(view, experiment, view.inputs)
    run = upload.upload(view, experiment)
    assert (run.info.run_id, run.info.status, runs.ENDED in run.data.tags) == (run_id, "FINISHED", False)
    assert [point.step for point in MlflowClient().get_metric_history(run_id, "loss")] == [1, 2, 3]
    assert len(all_runs()) == 1


def test_a_training_of_other_inputs_keeps_its_run(view, experiment):
    run_id = streamed(view, experiment, "others")
    assert upload.upload(view, experiment).info.run_id != run_id
    assert runs.FINGERPRINT not in MlflowClient().get_run(run_id).data.tags


def test_the_run_that_has_the_model_is_taken_before_the_one_that_was_streamed(view, experiment):
    first = upload.upload(view, experiment)
    run_id = streamed(view, experiment, view.inputs)
    assert upload.upload(view, experiment).info.run_id == first.info.run_id
    assert runs.FINGERPRINT not in MlflowClient().get_run(run_id).data.tags


def test_what_the_files_say_otherwise_by_now_replaces_what_the_run_has(view, experiment):
    first = upload.upload(view, experiment)
    again = upload.upload(
        dataclasses.replace(view, metrics={"test_accuracy": 0.8}, artifacts={"a.csv": b"2\n"}), experiment
    )
    assert again.info.run_id == first.info.run_id
    assert (again.data.metrics["test_accuracy"], content(again, "a.csv")) == (0.8, b"2\n")


def test_an_artifact_that_was_lost_in_the_store_is_logged_again_by_force(view, experiment):
    run = upload.upload(view, experiment)
    lost = Path(run.info.artifact_uri.removeprefix("file://"), "a.csv")
    lost.unlink()
    upload.upload(view, experiment)
    assert not lost.exists()
    upload.upload(view, experiment, force=True)
    assert lost.read_bytes() == b"1\n"


@pytest.mark.fault("an upload that dies before its model is logged")
def test_what_was_begun_is_not_complete_and_is_gone_on_with(view, experiment, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(upload.logged_models, "log", lambda *arguments: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            upload.upload(view, experiment)
    assert runs.complete(STAGE, view.fingerprint) is None
    upload.upload(view, experiment)
    assert len(all_runs()) == 1


@pytest.mark.parametrize("entered", [True, False])
def test_a_model_that_was_begun_to_be_logged_is_finished(entered, view, experiment):
    run_id, client = streamed(view, experiment, view.inputs), MlflowClient()
    begun = client.create_logged_model(experiment, name="model", source_run_id=run_id)
    if entered:
        client.log_outputs(run_id, [LoggedModelOutput(begun.model_id, 0)])
    run = upload.upload(view, experiment)
    assert [output.model_id for output in run.outputs.model_outputs] == [begun.model_id]
    assert logged_models.model_uri(run) == f"models:/{begun.model_id}"
