"""A colleague's clone: files by git and `dvc pull`, and a store told again from them."""

import json
import subprocess

import mlflow
import numpy as np
import pytest

from pipeline import paths, registry
from tests.workspace import Workspace

MODEL = "cifar10-classifier"
NAMES = ("custom_cnn", "ensemble")


@pytest.fixture(scope="module")
def colleague(small, tmp_path_factory, raw) -> Workspace:
    """A second clone, which has the files and an empty store, and in which `restore` was run."""
    remote, folder = tmp_path_factory.mktemp("remote"), tmp_path_factory.mktemp("colleague") / "clone"
    small.git("add", "--all")
    small.git("commit", "--quiet", "--allow-empty", "-m", "What the run left")
    subprocess.run(["git", "clone", "--quiet", small.folder, folder], check=True)
    made = Workspace(folder, raw)
    for workspace, work in ((small, ["push"]), (made, ["pull", "--allow-missing"])):
        workspace.dvc("remote", "add", "--local", "--force", "--default", "team", str(remote))
        result = workspace.dvc(*work)
        assert result.returncode == 0, result.stderr
    restored = made.pipeline("restore")
    assert restored.returncode == 0, restored.stderr
    made.output = restored.stdout
    return made


def run(workspace: Workspace, name: str) -> mlflow.entities.Run:
    (found,) = workspace.client.search_runs(
        [workspace.client.get_experiment_by_name("cifar10").experiment_id], f"attributes.run_name = '{name}'"
    )
    return found


def own(tags: dict[str, str]) -> dict[str, str]:
    return {key: value for key, value in tags.items() if not key.startswith(("mlflow.", "restored.", "attempt"))}


@pytest.mark.fault("a store that was lost")
@pytest.mark.parametrize("name", NAMES)
def test_the_runs_are_the_same_and_say_that_they_were_restored(name, small, colleague):
    first, second = run(small, name), run(colleague, name)
    assert second.data.tags["restored.from"] == first.info.run_id
    assert (second.info.status, second.info.start_time) == ("FINISHED", first.info.start_time)
    assert second.data.params == first.data.params
    assert own(second.data.tags) == own(first.data.tags)
    kept = {key: value for key, value in first.data.metrics.items() if not key.startswith("system/")}
    assert second.data.metrics == kept
    for metric in ("loss", "val_accuracy", "epoch_seconds"):
        histories = [
            [(point.step, point.value) for point in workspace.client.get_metric_history(found.info.run_id, metric)]
            for workspace, found in ((small, first), (colleague, second))
        ]
        assert histories[0] == histories[1]
    files = [
        {file.path for file in workspace.client.list_artifacts(found.info.run_id)}
        for workspace, found in ((small, first), (colleague, second))
    ]
    assert files[0] == files[1]


@pytest.mark.fault("a clone whose store is empty")
def test_the_champion_gives_the_same_probabilities(small, colleague):
    mlflow.set_tracking_uri(colleague.store)
    images = np.load(small.folder / paths.TEST / "images.npy")
    expected = np.load(small.folder / paths.ENSEMBLE / "test.npy")
    for address in (f"models:/{MODEL}@champion", f"models:/{MODEL}/Production"):
        assert mlflow.pyfunc.load_model(address).predict(images) == pytest.approx(expected, abs=1e-6)
    (entry,) = registry.history(MODEL)
    assert (entry["action"], entry["to"]) == ("restore", "1")


def test_doing_it_again_adds_nothing(colleague):
    before = colleague.client.search_runs(["1", "2"])
    again = colleague.pipeline("restore")
    assert again.returncode == 0
    assert "restored" not in again.stdout
    assert len(colleague.client.search_runs(["1", "2"])) == len(before)
    assert len(colleague.client.search_model_versions(f"name = '{MODEL}'")) == 1


def test_lineage_holds_there_and_repro_has_nothing_to_do(colleague):
    told = colleague.pipeline("lineage", "@champion")
    assert told.returncode == 0, told.stderr
    started = colleague.dvc("repro", "--dry", "--allow-missing").stdout
    assert {line.split("'")[1] for line in started.splitlines() if line.startswith("Running stage")} <= {
        "find",
        "summary",
    }


@pytest.mark.fault("a restoration that is killed half-way")
def test_what_was_begun_is_begun_anew(colleague):
    """A run that was being restored when the process died."""
    receipt = json.loads((colleague.folder / "ensemble/run.json").read_text())
    half = run(colleague, "ensemble")
    colleague.client.update_run(half.info.run_id, "RUNNING")
    again = colleague.pipeline("restore")
    assert again.returncode == 0, again.stderr
    assert f"ensemble: run {receipt['run_id']} restored" in again.stdout
    assert run(colleague, "ensemble").info.run_id != half.info.run_id
