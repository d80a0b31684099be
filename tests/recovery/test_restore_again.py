"""What restoring does a second time: after it was killed, after the store was lost again, after another evaluation."""

import json
import shutil

import mlflow
import pytest
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID

from pipeline.core.files import write_json
from pipeline.tracking import runs
from tests.workspace import Workspace

MODEL = "cifar10-classifier"
NAMES = ("custom_cnn", "ensemble")


@pytest.mark.fault("a restoration that is killed half-way")
def test_what_was_begun_is_begun_anew(colleague):
    """A run that was being restored when the process died."""
    receipt = json.loads((colleague.folder / "ensemble/run.json").read_text())
    half = colleague.run("ensemble")
    colleague.client.set_tag(half.info.run_id, "restoring", receipt["run_id"])
    colleague.client.delete_tag(half.info.run_id, "restored.from")
    again = colleague.pipeline("restore")
    assert again.returncode == 0, again.stderr
    assert f"ensemble: run {receipt['run_id']} restored" in again.stdout
    assert colleague.run("ensemble").info.run_id != half.info.run_id
    models = colleague.client.search_logged_models([half.info.experiment_id])
    assert half.info.run_id not in [model.source_run_id for model in models]


@pytest.mark.fault("an evaluation that is cut short, and that DVC then restores from its cache")
@pytest.mark.parametrize("status", ["RUNNING", "KILLED", "FAILED"])
def test_a_run_that_was_told_whole_is_ended(status, colleague):
    colleague.client.update_run(colleague.run("custom_cnn").info.run_id, status)
    assert colleague.pipeline("restore").returncode == 0
    assert colleague.run("custom_cnn").info.status == "FINISHED"


@pytest.mark.fault("a restoration that is killed before it says what an export's run was")
def test_an_export_that_was_told_half_is_told_anew(colleague):
    row = colleague.read("reports/exports.json")[0]
    mlflow.set_tracking_uri(colleague.store)
    half = runs.find(row["run_id"])
    colleague.client.delete_tag(half.info.run_id, runs.RESTORED)
    assert f"run {row['run_id']} restored" in colleague.pipeline("restore").stdout
    told = runs.find(row["run_id"])
    assert told.info.run_id != half.info.run_id
    beside = f"tags.`{MLFLOW_PARENT_RUN_ID}` = '{told.data.tags[MLFLOW_PARENT_RUN_ID]}'"
    assert told.info.run_name not in [
        run.info.run_name
        for run in colleague.client.search_runs([told.info.experiment_id], beside)
        if run.info.run_id != told.info.run_id
    ]


def test_a_restored_run_in_which_the_evaluation_failed_is_there_still(colleague):
    receipt, found = colleague.read("models/custom_cnn/run.json"), colleague.run("custom_cnn")
    colleague.client.update_run(found.info.run_id, "FAILED")
    mlflow.set_tracking_uri(colleague.store)
    assert runs.find(receipt["run_id"]).info.run_id == found.info.run_id
    colleague.client.update_run(found.info.run_id, "FINISHED")


@pytest.fixture(scope="module")
def twice(colleague, raw) -> Workspace:
    """Where the store was lost again, after the restored runs were evaluated and one of them was promoted."""
    folder = colleague.folder.with_name("twice")
    shutil.copytree(colleague.folder, folder, symlinks=True, ignore=shutil.ignore_patterns("mlflow.db", "artifacts"))
    mlflow.set_tracking_uri(colleague.store)
    decision, evaluated = colleague.read("registry.json"), runs.receipt(colleague.run("custom_cnn"))
    write_json(folder / "registry.json", decision | {"run_id": colleague.run(decision["candidate"]).info.run_id})
    write_json(folder / "predictions/custom_cnn/run.json", evaluated)
    return Workspace(folder, raw)


@pytest.mark.fault("a store that was lost twice, its runs evaluated and promoted in between")
def test_what_was_restored_is_restored_again_as_the_first_run(small, twice):
    for verb in ("restored", "is there"):
        again = twice.pipeline("restore")
        assert again.returncode == 0, again.stderr
        assert again.stdout.count(verb) == len(NAMES) + 1 + len(twice.read("reports/exports.json")) + 1
    for name in NAMES:
        tags = twice.run(name).data.tags
        assert (tags["restored.from"], "restoring" in tags) == (small.run(name).info.run_id, False)


@pytest.mark.fault("a restoration that is killed between a version's registration and its promotion")
def test_a_version_that_was_registered_only_is_made_champion(twice):
    client = twice.client
    client.delete_registered_model_alias(MODEL, "champion")
    client.transition_model_version_stage(MODEL, "1", "None")
    history = client.get_experiment_by_name(f"{MODEL}-history").experiment_id
    client.rename_experiment(history, "what was not yet")
    again = twice.pipeline("restore")
    assert again.returncode == 0, again.stderr
    version = client.get_model_version(MODEL, "1")
    assert version.current_stage == "Production"
    assert client.get_model_version_by_alias(MODEL, "champion").version == version.version


def test_a_decision_on_another_model_than_the_files_is_left_to_repro(twice):
    """Trained again, and not promoted yet, when the store was lost."""
    decision = twice.read("registry.json")
    decision["tags"]["model.fingerprint"] = "of the model before"
    write_json(twice.folder / "registry.json", decision)
    again = twice.pipeline("restore")
    assert again.returncode == 0, again.stderr
    assert "`dvc repro` decides" in again.stdout


def test_an_evaluation_that_the_files_do_not_have_any_more_is_told_again_as_they_have_it(colleague):
    """A param of the evaluation was changed and changed back: DVC restored the files, and the store has the other."""
    found = colleague.run("custom_cnn")
    colleague.client.log_metric(found.info.run_id, "test_ece", 0.5)
    colleague.client.set_tag(found.info.run_id, "evaluate.git.commit", "0" * 40)
    told = colleague.pipeline("lineage", "train@custom_cnn")
    assert (told.returncode, "`pipeline restore` tells the store" in told.stderr) == (1, True)
    restored = colleague.pipeline("restore")
    assert f"custom_cnn: run {found.data.tags['restored.from']} is evaluated as in the files again" in restored.stdout
    assert colleague.run("custom_cnn").data.metrics == found.data.metrics
    told = colleague.pipeline("lineage", "train@custom_cnn")
    assert told.returncode == 0, told.stderr
