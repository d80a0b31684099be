"""A colleague's clone: files by git and `dvc pull`, and a store told again from them."""

import json
import shutil
import subprocess
from pathlib import Path

import mlflow
import numpy as np
import pytest

from pipeline import params, paths, promotion, restoring, runs, tracking
from pipeline.errors import UserError
from pipeline.files import write_json
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
    return {
        key: value
        for key, value in tags.items()
        if not key.startswith(("mlflow.", "restored.", "attempt", "model.files"))
    }


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


@pytest.mark.fault("a store that was lost, with its exports")
def test_the_exports_are_below_their_runs_again_and_the_edge_model_has_its_alias(small, colleague):
    told = 0
    for name in NAMES:
        firsts, seconds = (workspace.exports(run(workspace, name).info.run_id) for workspace in (small, colleague))
        assert set(seconds) == set(firsts)
        for variant, second in seconds.items():
            first, told = firsts[variant], told + 1
            assert second.data.tags["restored.from"] == first.info.run_id
            assert (second.data.params, second.data.metrics) == (first.data.params, first.data.metrics)
            assert own(second.data.tags) | {"host": ""} == own(first.data.tags) | {"host": ""}
            files = [
                [file.path for file in workspace.client.list_artifacts(found.info.run_id)]
                for workspace, found in ((small, first), (colleague, second))
            ]
            assert files[0] == files[1]
    assert told == len(colleague.read("reports/exports.json"))
    versions = [workspace.client.get_model_version_by_alias(MODEL, "edge") for workspace in (small, colleague)]
    assert versions[1].tags["candidate"] == versions[0].tags["candidate"]
    assert versions[1].tags["edge.shipped"] == versions[0].tags["edge.shipped"]
    assert colleague.pipeline("lineage", "@edge").returncode == 0


@pytest.mark.fault("a clone whose store is empty")
def test_the_champion_gives_the_same_probabilities(small, colleague):
    mlflow.set_tracking_uri(colleague.store)
    images = np.load(small.folder / paths.TEST / "images.npy")
    expected = np.load(small.folder / paths.ENSEMBLE / "test.npy")
    for address in (f"models:/{MODEL}@champion", f"models:/{MODEL}/Production"):
        assert mlflow.pyfunc.load_model(address).predict(images) == pytest.approx(expected, abs=1e-6)
    (entry,) = promotion.history(MODEL)
    assert (entry["action"], entry["to"]) == ("restore", "1")


def test_the_version_has_its_description_and_its_card_again(small, colleague):
    first, second = (workspace.client.get_model_version(MODEL, "1") for workspace in (small, colleague))
    assert second.description == first.description
    cards = [
        Path(workspace.client.download_artifacts(version.run_id, "model_card.md")).read_text()
        for workspace, version in ((small, first), (colleague, second))
    ]
    assert cards[1] == cards[0] == (small.folder / paths.MODEL_CARD).read_text()


def test_doing_it_again_adds_nothing(small, colleague):
    before = colleague.client.search_runs(["1", "2"])
    again = colleague.pipeline("restore")
    assert again.returncode == 0
    assert "restored" not in again.stdout
    assert len(colleague.client.search_runs(["1", "2"])) == len(before)
    known = [len(each.client.search_model_versions(f"name = '{MODEL}'")) for each in (small, colleague)]
    assert known[0] == known[1]


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
    colleague.client.set_tag(half.info.run_id, "restoring", receipt["run_id"])
    colleague.client.delete_tag(half.info.run_id, "restored.from")
    again = colleague.pipeline("restore")
    assert again.returncode == 0, again.stderr
    assert f"ensemble: run {receipt['run_id']} restored" in again.stdout
    assert run(colleague, "ensemble").info.run_id != half.info.run_id
    models = colleague.client.search_logged_models([half.info.experiment_id])
    assert half.info.run_id not in [model.source_run_id for model in models]


@pytest.mark.fault("a restoration that is killed before it ends a run")
def test_a_run_that_was_told_whole_is_ended(colleague):
    colleague.client.update_run(run(colleague, "ensemble").info.run_id, "RUNNING")
    assert colleague.pipeline("restore").returncode == 0
    assert run(colleague, "ensemble").info.status == "FINISHED"


def test_a_restored_run_in_which_the_evaluation_failed_is_there_still(colleague):
    receipt, found = colleague.read("models/custom_cnn/run.json"), run(colleague, "custom_cnn")
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
    decision, evaluated = colleague.read("registry.json"), runs.receipt(run(colleague, "custom_cnn"))
    write_json(folder / "registry.json", decision | {"run_id": run(colleague, decision["candidate"]).info.run_id})
    write_json(folder / "predictions/custom_cnn/run.json", evaluated)
    return Workspace(folder, raw)


@pytest.mark.fault("a store that was lost twice, its runs evaluated and promoted in between")
def test_what_was_restored_is_restored_again_as_the_first_run(small, twice):
    for verb in ("restored", "is there"):
        again = twice.pipeline("restore")
        assert again.returncode == 0, again.stderr
        assert again.stdout.count(verb) == len(NAMES) + 1 + len(twice.read("reports/exports.json")) + 1
    for name in NAMES:
        tags = run(twice, name).data.tags
        assert (tags["restored.from"], "restoring" in tags) == (run(small, name).info.run_id, False)


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


DAMAGED = {
    "half a receipt": ("models/custom_cnn/run.json", lambda path: path.write_bytes(path.read_bytes()[:200])),
    "a receipt without anything": ("ensemble/run.json", lambda path: path.write_text("{}")),
    "a receipt that is a list": ("models/custom_cnn/run.json", lambda path: path.write_text("[]")),
    "half of registry.json": ("registry.json", lambda path: path.write_bytes(path.read_bytes()[:200])),
    "registry.json without tags": ("registry.json", lambda path: path.write_text('{"model": "x"}')),
    "a history without columns": ("plots/history/custom_cnn.csv", lambda path: path.write_text("epoch,loss\n1,2\n")),
    "an empty history": ("plots/history/custom_cnn.csv", lambda path: path.write_text("")),
    "other probabilities": (
        "models/custom_cnn/validation.npy",
        lambda path: np.save(path, np.eye(10, dtype="float32")[np.arange(100) % 10]),
    ),
}


@pytest.mark.fault("told again from files, of which one is")
@pytest.mark.parametrize("kind", DAMAGED)
def test_a_damaged_file_is_named_and_nothing_of_it_is_told(kind, colleague, tmp_path, monkeypatch, record_property):
    monkeypatch.chdir(colleague.folder)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    tracking.connect(params.load())
    name, damage = DAMAGED[kind]
    path = Path(name)
    whole = path.read_bytes()
    path.unlink()  # it may be a link into DVC's cache
    path.write_bytes(whole)
    try:
        damage(path)
        with pytest.raises(UserError, match=name) as caught:
            restoring.restore()
    finally:
        path.write_bytes(whole)
    assert mlflow.search_runs(search_all_experiments=True).empty
    record_property("seen", str(caught.value))
