"""Lineage: each link is followed, and one that was tampered with is named."""

import contextlib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from dvc.repo import Repo
from mlflow import MlflowClient

from drills.files import small_model
from pipeline.core.errors import UserError
from pipeline.lineage import Broken, verify, version
from pipeline.registry import promotion, versions
from tests.tampered_files import FILES
from tests.tampered_store import STORE
from tests.tampering import CNN, MODEL, another_model, append, execute, kept, replace, run_id, with_changes

pytestmark = pytest.mark.usefixtures("inside")


def lines(*subjects: str) -> list[str]:
    return [line.text for subject in subjects for line in verify.trace(subject, MODEL)]


BOTH = ("@champion", "ensemble")  # which of the two candidates is champion is decided by few images


@pytest.mark.parametrize("subject", ["@champion", "Production", "1"])
def test_a_version_leads_to_its_decision_run_model_epochs_files_and_members(subject):
    told = "\n".join(lines(subject, "ensemble"))
    for link in (
        f"{MODEL} version 1, @champion",
        "gate: no champion yet",
        "history: 1 entries",
        f"run {run_id()}: ensemble, ",
        f"run {run_id('custom_cnn')}: custom_cnn, commit ",
        "model: models:/m-",
        "epochs: ",
        "figures: ",
        "artifacts: ",
        "train@custom_cnn: out models/custom_cnn",
        "train@custom_cnn: dep pipeline/training",
        "download: out data/raw",
        "dependencies and outputs as dvc.lock records them",
    ):
        assert link in told


@pytest.mark.parametrize("subject", ["dvc.lock", "train@custom_cnn", "track@custom_cnn", f"{CNN}/model.keras"])
def test_files_lead_to_the_run_and_the_version(subject):
    assert promotion.champion(MODEL).run_id == run_id("custom_cnn")
    told = lines(subject)
    assert told[0].startswith((f"run {run_id('custom_cnn')}: custom_cnn, ", f"{CNN}/model.keras: fingerprint "))
    assert f"registered as {MODEL} version 1, @champion, @edge, stage Production" in told


def test_an_exports_run_leads_to_the_run_of_its_model(small):
    runs = small.exports(run_id("custom_cnn"))
    for name, run in runs.items():
        told = lines(run.info.run_id)
        assert told[0] == f"run {run.info.run_id}: {name}, of the model of run {run_id('custom_cnn')}"
        assert any(line.startswith(f"run {run_id('custom_cnn')}: custom_cnn, ") for line in told)
    assert len(runs) == 4


def test_a_copy_of_a_model_is_known_by_what_is_in_it(tmp_path):
    shutil.copy(f"{CNN}/model.keras", tmp_path / "downloaded.keras")
    assert f"run {run_id('custom_cnn')}: custom_cnn, " in "\n".join(lines(str(tmp_path / "downloaded.keras")))


def test_the_command_prints_a_tree_and_json(small):
    told = small.pipeline("lineage", "train@custom_cnn")
    assert told.returncode == 0, told.stderr
    assert told.stdout.startswith(f"run {run_id('custom_cnn')}: custom_cnn, commit ")
    assert "\n  model: models:/m-" in told.stdout
    assert "dep pipeline/training" not in told.stdout
    links = json.loads(small.pipeline("lineage", "train@custom_cnn", "--json", "--verbose").stdout)
    assert links[0]["depth"] == 0
    assert links[0]["link"].startswith(f"run {run_id('custom_cnn')}: custom_cnn, commit ")
    assert any("dep pipeline/training" in link["link"] for link in links)


def test_the_command_ends_at_the_broken_link(small):
    with kept("reports/custom_cnn/report.csv"):
        replace("reports/custom_cnn/report.csv", "airplane", "aeroplane")
        told = small.pipeline("lineage", "evaluate@custom_cnn")
    assert (told.returncode, told.stderr.count("\n")) == (1, 1)
    assert "error: broken link: dvc.lock, evaluate@custom_cnn, out reports/custom_cnn: it is modified" in told.stderr
    assert "`git checkout` or `dvc checkout`" in told.stderr


@pytest.mark.fault("system files in tracked folders and in the store's")
def test_system_files_break_no_link_and_make_no_stage_run(record_property):
    left = [Path(CNN, ".DS_Store"), Path("reports/custom_cnn/Thumbs.db"), Path("records/train/._custom_cnn.json")]
    left += [Path("pipeline/training/._fit.py")]
    left += [folder / "._MLmodel" for folder in Path("mlruns/artifacts/models").glob("*/artifacts")]
    with Repo() as repo:
        before = repo.status()
    try:
        for path in left:
            path.write_bytes(b"\0\5\x16\7 of macOS")
        assert lines("@champion")
        with Repo() as repo:
            assert repo.status() == before
    finally:
        for path in left:
            path.unlink()
    record_property("seen", "every link holds, and no stage runs")


def test_what_does_not_exist_is_a_users_error():
    for subject, told in (("@nobody", "no version, alias or stage @nobody"), ("x.keras", "does not exist")):
        with pytest.raises(UserError, match=told):
            lines(subject)


@pytest.mark.fault("tampered with, in the store")
@pytest.mark.parametrize("what", STORE)
def test_what_was_changed_in_the_store_is_caught(what, record_property):
    tamper, told = STORE[what]
    with kept():
        tamper()
        with pytest.raises(UserError, match=told) as caught:
            lines(*BOTH)
    record_property("seen", str(caught.value))


@pytest.mark.fault("tampered with, among the files")
@pytest.mark.parametrize("what", FILES)
def test_a_file_that_was_changed_is_caught(what, record_property):
    name, tamper, told = FILES[what]
    path = name()
    with kept(path):
        tamper(path)
        with pytest.raises(UserError, match=told) as caught:
            lines(*BOTH)
    record_property("seen", str(caught.value))


@contextlib.contextmanager
def moved(path: str, away: Path) -> Iterator[None]:
    """Within the block the folder is not there."""
    away.mkdir(exist_ok=True)
    shutil.move(path, away / "moved")
    try:
        yield
    finally:
        shutil.rmtree(path, ignore_errors=True)
        shutil.move(away / "moved", path)


def test_what_can_be_computed_again_may_be_missing_and_other_things_may_not(tmp_path):
    with moved("data/trunk/custom_cnn", tmp_path / "trunk"):
        assert lines("ensemble")
    with (
        moved("data/raw", tmp_path / "raw"),
        pytest.raises(Broken, match="out data/raw: it is missing: `dvc pull`"),
    ):
        lines("ensemble")


@pytest.mark.fault("an export's run in the store with")
@pytest.mark.parametrize(
    ("what", "tamper", "told"),
    [
        ("another verdict", lambda run: MlflowClient().set_tag(run, "shipped", "false"), "shipped: False in the store"),
        (
            "another figure",
            lambda run: execute("update latest_metrics set value = 0.1 where key = 'agreement' and run_uuid = ?", run),
            "agreement: 0.1 in the store",
        ),
    ],
)
def test_an_exports_run_that_was_changed_is_caught(what, tamper, told, small, record_property):
    exports = small.exports(run_id("custom_cnn"))
    shipped = next(run for run in exports.values() if run.data.tags["shipped"] == "true")
    with kept():
        tamper(shipped.info.run_id)
        with pytest.raises(Broken, match=told) as caught:
            lines(shipped.info.run_id)
    record_property("seen", str(caught.value))


def test_an_exports_run_that_did_not_end_is_a_broken_link(small):
    export = next(iter(small.exports(run_id("custom_cnn")).values()))
    with kept():
        MlflowClient().set_terminated(export.info.run_id, "FAILED")
        with pytest.raises(Broken, match=f"run {export.info.run_id}: it is FAILED"):
            lines(export.info.run_id)


def test_a_clone_in_which_nothing_was_decided_says_so():
    with kept("registry.json"):
        Path("registry.json").unlink()
        told = [line.text for line in version.verify(versions.resolve(MODEL, "@champion"))]
    assert "registry.json: nothing was decided here" in told


def test_a_model_that_no_run_made_is_said_to_be_one(tmp_path):
    small_model(tmp_path / "foreign.keras")
    with pytest.raises(Broken, match="the store has no finished run with a model of this fingerprint"):
        lines(str(tmp_path / "foreign.keras"))


@pytest.mark.fault("tampered with, and recorded by `dvc commit`")
@pytest.mark.parametrize(
    ("path", "subject", "tamper", "told"),
    [
        ("ensemble/model.keras", "ensemble", another_model, "ensemble/model.keras is not the model of its model.json"),
        (
            "metrics/ensemble.json",
            "ensemble",
            lambda path: replace(path, '"accuracy": 0.', '"accuracy": 0.9'),
            "metric .*_accuracy",
        ),
        (
            "models/custom_cnn/validation.npy",
            "train@custom_cnn",
            append,
            "tag validation.sha256: ",
        ),
        (
            "registry.json",
            "@champion",
            with_changes(lambda decision: decision["gate"]["evidence"].clear()),
            "registry.json, gate: it is not what cifar10-classifier version 1 says",
        ),
        (
            "plots/history/custom_cnn.csv",
            "train@custom_cnn",
            lambda path: Path(path).write_text("epoch,loss\n1,x\n"),
            "plots/history/custom_cnn.csv is damaged",
        ),
    ],
)
def test_a_file_that_was_changed_and_recorded_is_caught(path, subject, tamper, told, small, record_property):
    with kept(path, "dvc.lock"):
        tamper(path)
        assert small.dvc("commit", "--force").returncode == 0
        with pytest.raises(UserError, match=told) as caught:
            lines(subject)
    record_property("seen", str(caught.value))
