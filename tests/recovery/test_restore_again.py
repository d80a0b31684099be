"""What restoring does a second time: after it was killed, after the store was lost again, after a tampered figure."""

import shutil

import mlflow
import pytest

from pipeline.core.files import write_json
from pipeline.tracking import runs
from tests.workspace import Workspace

pytestmark = pytest.mark.slow
MODEL = "cifar10-classifier"
NAMES = ("custom_cnn", "ensemble")


@pytest.mark.fault("a restoration that is killed half-way")
def test_a_run_that_has_not_all_is_completed_and_no_second_one_is_made(colleague):
    """A run lacks its fingerprint until it has everything: what a kill leaves is not taken for whole."""
    half = colleague.run("ensemble")
    colleague.client.delete_tag(half.info.run_id, runs.FINGERPRINT)
    again = colleague.pipeline("restore")
    assert again.returncode == 0, again.stderr
    assert "ensemble: run" in again.stdout
    assert colleague.pipeline("lineage", "ensemble").returncode == 0
    colleague.client.delete_run(half.info.run_id)


@pytest.mark.fault("a run that was cut short")
@pytest.mark.parametrize("status", ["RUNNING", "KILLED", "FAILED"])
def test_a_run_that_has_all_is_ended(status, colleague):
    colleague.client.update_run(colleague.run("custom_cnn").info.run_id, status)
    assert colleague.pipeline("restore").returncode == 0
    assert colleague.run("custom_cnn").info.status == "FINISHED"


@pytest.fixture(scope="module")
def twice(colleague, raw) -> Workspace:
    """Where the store was lost again."""
    folder = colleague.folder.with_name("twice")
    shutil.copytree(colleague.folder, folder, symlinks=True, ignore=shutil.ignore_patterns("mlflow.db", "artifacts"))
    return Workspace(folder, raw)


@pytest.mark.fault("a store that was lost twice")
def test_what_was_restored_is_restored_again(twice):
    for verb in ("restored", "is there"):
        again = twice.pipeline("restore")
        assert again.returncode == 0, again.stderr
        assert again.stdout.count(f" {verb}") >= len(NAMES) + 1
    assert twice.pipeline("lineage", "@champion").returncode == 0


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


def test_a_figure_that_is_not_the_files_is_named_by_lineage_and_put_right(colleague):
    found = colleague.run("custom_cnn")
    colleague.client.log_metric(found.info.run_id, "test_ece", 0.5)
    page = colleague.pipeline("lineage", "train@custom_cnn")
    assert (page.returncode, "metric test_ece" in page.stderr) == (1, True)
    assert colleague.pipeline("restore").returncode == 0
    mlflow.set_tracking_uri(colleague.store)
    assert colleague.run("custom_cnn").data.metrics == found.data.metrics
    page = colleague.pipeline("lineage", "train@custom_cnn")
    assert page.returncode == 0, page.stderr
