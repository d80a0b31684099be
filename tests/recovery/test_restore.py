"""A colleague's clone: files by git and `dvc pull`, and a store told again from them."""

import shutil
from pathlib import Path

import mlflow
import numpy as np
import pytest

from pipeline.core import params, paths
from pipeline.core.errors import UserError
from pipeline.recovery import restore
from pipeline.registry import promotion
from pipeline.tracking import store
from pipeline.tracking.stream import SECONDS

MODEL = "cifar10-classifier"
NAMES = ("custom_cnn", "ensemble")


def told(tags: dict[str, str]) -> dict[str, str]:
    """The tags that come from files; not those of the process that logged a run."""
    streamed = ("mlflow.", "attempt", "model.files", "host", "logged.from", "resumed")
    return {key: value for key, value in tags.items() if not key.startswith(streamed)}


@pytest.mark.fault("a store that was lost")
@pytest.mark.parametrize("name", NAMES)
def test_the_runs_are_the_same_and_say_that_they_were_logged_from_files(name, small, colleague):
    first, second = small.run(name), colleague.run(name)
    assert second.data.tags["logged.from"] == "files"
    assert second.info.status == "FINISHED"
    assert abs(second.info.start_time - first.info.start_time) < 60_000
    assert second.data.params == first.data.params
    assert told(second.data.tags) == told(first.data.tags)
    kept = {key: value for key, value in first.data.metrics.items() if key != SECONDS and not key.startswith("system/")}
    assert second.data.metrics == kept
    for metric in ("loss", "val_accuracy"):
        histories = [
            [(point.step, point.value) for point in workspace.client.get_metric_history(found.info.run_id, metric)]
            for workspace, found in ((small, first), (colleague, second))
        ]
        assert histories[0] == histories[1]
    files = [
        {file.path for file in workspace.client.list_artifacts(found.info.run_id)} - {"promotion.json", "model_card.md"}
        for workspace, found in ((small, first), (colleague, second))
    ]
    assert files[0] == files[1]


@pytest.mark.fault("a store that was lost, with its exports")
def test_the_exports_are_below_their_runs_again_and_the_edge_model_has_its_alias(small, colleague):
    found = 0
    for name in NAMES:
        firsts, seconds = (workspace.exports(workspace.run(name).info.run_id) for workspace in (small, colleague))
        assert set(seconds) == set(firsts)
        for variant, second in seconds.items():
            first, found = firsts[variant], found + 1
            assert (second.data.params, second.data.metrics) == (first.data.params, first.data.metrics)
            files = [
                [file.path for file in workspace.client.list_artifacts(run.info.run_id)]
                for workspace, run in ((small, first), (colleague, second))
            ]
            assert files[0] == files[1]
    assert found == len(colleague.read("reports/exports.json"))
    versions = [workspace.client.get_model_version_by_alias(MODEL, "edge") for workspace in (small, colleague)]
    assert versions[1].tags["candidate"] == versions[0].tags["candidate"]
    assert colleague.pipeline("lineage", "@edge").returncode == 0


@pytest.mark.fault("a clone whose store is empty")
def test_the_champion_gives_the_same_probabilities(small, colleague):
    mlflow.set_tracking_uri(colleague.store)
    images = np.load(small.folder / paths.TEST / "images.npy")
    expected = np.load(small.folder / paths.ENSEMBLE / "test.npy")
    for address in (f"models:/{MODEL}@champion", f"models:/{MODEL}/Production"):
        assert mlflow.pyfunc.load_model(address).predict(images) == pytest.approx(expected, abs=1e-6)
    (entry,) = promotion.settle(MODEL).entries
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


DAMAGED = {
    "half of a model's facts": ("models/custom_cnn/model.json", lambda path: path.write_bytes(path.read_bytes()[:200])),
    "facts without anything": ("models/custom_cnn/model.json", lambda path: path.write_text("{}")),
    "facts that are a list": ("models/custom_cnn/model.json", lambda path: path.write_text("[]")),
    "a history that is no table": ("plots/history/custom_cnn.csv", lambda path: path.write_text("epoch,loss\n1,x\n")),
    "another model": ("models/custom_cnn/model.keras", lambda path: shutil.copy("ensemble/model.keras", path)),
}


@pytest.mark.fault("restored from files, of which one is")
@pytest.mark.parametrize("kind", DAMAGED)
def test_a_damaged_file_is_named_and_nothing_of_it_is_told(kind, colleague, tmp_path, monkeypatch, record_property):
    monkeypatch.chdir(colleague.folder)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    checked = params.load()
    experiment = store.connect(checked)
    name, damage = DAMAGED[kind]
    path = Path(name)
    whole = path.read_bytes()
    path.unlink()  # it may be a link into DVC's cache
    path.write_bytes(whole)
    try:
        damage(path)
        with pytest.raises(UserError, match=name) as caught:
            list(restore.restore(checked, experiment))
    finally:
        path.write_bytes(whole)
    assert mlflow.search_runs(search_all_experiments=True).empty
    record_property("seen", str(caught.value))
