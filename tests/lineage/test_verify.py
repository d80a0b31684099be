"""Lineage: each link is followed, and one that was tampered with is named."""

import json
import re
import shutil
from pathlib import Path

import pytest
from mlflow import MlflowClient

from drills.files import small_model
from pipeline.core.errors import UserError
from pipeline.lineage import verify
from pipeline.lineage.link import Broken
from pipeline.registry import journal, promotion
from pipeline.tracking import provenance, runs
from tests.tampered_files import FILES
from tests.tampered_store import STORE
from tests.tampering import (
    CNN,
    MODEL,
    another_model,
    artifact,
    decide_otherwise,
    execute,
    kept,
    replace,
    run_id,
    with_changes,
    without_stage,
)

pytestmark = pytest.mark.usefixtures("inside")
BOTH = ("@champion", "ensemble")  # which of the two candidates is champion is decided by few images


def lines(*subjects: str, detail: bool = False) -> list[str]:
    return [line.text for subject in subjects for line in verify.trace(subject, MODEL) if detail or not line.detail]


@pytest.mark.parametrize("subject", ["@champion", "Production", "1"])
def test_a_version_leads_to_decision_history_run_model_figures_members_and_files(subject):
    page = "\n".join(lines(subject, "ensemble"))
    for link in (
        f"{MODEL} version 1, @champion",
        "gate: no champion yet",
        "history: 1 entries",
        f"run {run_id()}: ensemble",
        f"run {run_id('custom_cnn')}: custom_cnn",
        "model: models:/m-",
        "epochs: ",
        "artifacts: ",
        "as dvc.lock records them",
    ):
        assert link in page


def test_a_person_can_read_the_page_and_ask_for_all_of_it():
    assert len(lines("@champion")) < 40
    everything = "\n".join(lines("@champion", detail=True))
    for detail in ("dep pipeline/training", "out models/custom_cnn", "artifact validation.npy", "test_accuracy"):
        assert detail in everything


@pytest.mark.parametrize("subject", ["dvc.lock", "train@custom_cnn", "evaluate@custom_cnn", f"{CNN}/model.keras"])
def test_files_lead_to_the_run_and_the_version(subject):
    found = lines(subject)
    assert any(line.startswith(f"run {run_id('custom_cnn')}: custom_cnn, commit ") for line in found)
    if promotion.champion(MODEL).run_id == run_id("custom_cnn"):
        assert any(line.startswith(f"registered as {MODEL} version 1, @champion") for line in found)


def test_an_exports_run_leads_to_the_run_of_its_model(small):
    exports = small.exports(run_id("custom_cnn"))
    for name, run in exports.items():
        found = lines(run.info.run_id)
        assert found[0] == f"run {run.info.run_id}: {name}, of the model of run {run_id('custom_cnn')}"
        assert any(line.startswith(f"run {run_id('custom_cnn')}: custom_cnn") for line in found)
    assert len(exports) == 4


def test_a_copy_of_a_model_is_known_by_what_is_in_it(tmp_path):
    shutil.copy(f"{CNN}/model.keras", tmp_path / "downloaded.keras")
    assert any(f"run {run_id('custom_cnn')}" in line for line in lines(str(tmp_path / "downloaded.keras")))


def test_the_command_prints_a_tree_and_json_and_more_if_asked(small):
    page = small.pipeline("lineage", "train@custom_cnn")
    assert page.returncode == 0, page.stderr
    assert page.stdout.startswith(f"run {run_id('custom_cnn')}: custom_cnn, commit ")
    links = json.loads(small.pipeline("lineage", "train@custom_cnn", "--json").stdout)
    assert links[0]["depth"] == 0
    assert len(small.pipeline("lineage", "train@custom_cnn", "--verbose").stdout) > 2 * len(page.stdout)


def test_the_command_ends_at_the_broken_link(small):
    with kept("metrics/custom_cnn.json"):
        Path("metrics/custom_cnn.json").write_text(Path("metrics/custom_cnn.json").read_text().replace(": 0.", ": 0.1"))
        page = small.pipeline("lineage", "train@custom_cnn")
    assert page.returncode == 1
    assert re.search(r"^error: broken link: run \w+, metric", page.stderr, re.M)


def test_what_does_not_exist_is_a_users_error():
    for subject, message in (("@nobody", "no version, alias or stage @nobody"), ("x.keras", "does not exist")):
        with pytest.raises(UserError, match=message):
            lines(subject)


@pytest.mark.fault("tampered with, in the store")
@pytest.mark.parametrize("what", STORE)
def test_what_was_changed_in_the_store_is_caught(what, record_property):
    tamper, message = STORE[what]
    with kept():
        tamper()
        with pytest.raises(UserError, match=message) as caught:
            lines(*BOTH)
    record_property("seen", str(caught.value))


@pytest.mark.fault("tampered with, among the files")
@pytest.mark.parametrize("what", FILES)
def test_a_file_that_was_changed_is_caught(what, record_property):
    name, tamper, message = FILES[what]
    path = name()
    with kept(path):
        tamper(path)
        with pytest.raises(UserError, match=message) as caught:
            lines(*BOTH, "evaluate@custom_cnn", "promote")
    record_property("seen", str(caught.value))


def test_a_trunk_may_be_missing_and_other_things_may_not(tmp_path):
    trunk = Path("data/trunk/custom_cnn")
    shutil.move(trunk, tmp_path / "trunk")
    try:
        assert lines("ensemble")
    finally:
        shutil.move(tmp_path / "trunk", trunk)
    shutil.move("data/test", tmp_path / "test")
    try:
        with pytest.raises((Broken, UserError, FileNotFoundError)):
            lines("ensemble")
    finally:
        shutil.move(tmp_path / "test", "data/test")


@pytest.mark.fault("an export's run in the store with")
@pytest.mark.parametrize(
    ("what", "tamper", "message"),
    [
        ("another verdict", lambda run: MlflowClient().set_tag(run, "shipped", "false"), "shipped: False in the store"),
        (
            "another figure",
            lambda run: execute("update latest_metrics set value = 0.1 where key = 'agreement' and run_uuid = ?", run),
            "agreement: 0.1 in the store",
        ),
    ],
)
def test_an_exports_run_that_was_changed_is_caught(what, tamper, message, small, record_property):
    exports = small.exports(run_id("custom_cnn"))
    shipped = next(run for run in exports.values() if run.data.tags["shipped"] == "true")
    with kept():
        tamper(shipped.info.run_id)
        with pytest.raises(Broken, match=message) as caught:
            lines(shipped.info.run_id)
    record_property("seen", str(caught.value))


def test_a_clone_in_which_nothing_was_decided_says_so():
    with kept("registry.json", "dvc.lock"):
        Path("registry.json").unlink()
        without_stage("promote")("dvc.lock")
        page = verify.trace("@champion", MODEL)
        assert any(
            "registry.json: nothing was decided here" in line.text for line, _ in zip(page, range(9), strict=False)
        )


def test_a_model_that_no_run_made_is_said_to_be_one(tmp_path):
    small_model(tmp_path / "foreign.keras")
    with pytest.raises(Broken, match="the store has no finished run with a model of this fingerprint"):
        lines(str(tmp_path / "foreign.keras"))


def test_a_version_that_was_decided_on_again_elsewhere_has_that_decision_in_the_history():
    seen = promotion.history(MODEL)
    decision = {"promote": False, "reason": "worse", "checks": [], "evidence": {"images": 5}}
    path = artifact("promotion.json")
    with kept(path):
        decide_otherwise(path, decision)
        journal.append(MODEL, seen, seen[-1] | {"action": "refuse", "evidence": provenance.digest(decision)})
        page = lines("1")
    assert "gate: worse" in page
    assert "registry.json tells of another decision" in page


def test_an_old_champion_whose_files_were_replaced_is_compared_with_itself():
    """Another model is in the workspace by now, as after one more training."""
    with kept(f"{CNN}/model.json", "ensemble/model.json"):
        for name in (CNN, "ensemble"):
            with_changes(lambda facts: facts.update(fingerprint="0" * 64))(f"{name}/model.json")
        page = lines("@champion")
    assert "files: of another model by now, not compared" in page


def test_a_run_that_was_killed_is_no_link_from_a_file():
    client = MlflowClient()
    with kept():
        killed = client.create_run("1", tags={runs.STAGE: "train@custom_cnn"})
        client.set_terminated(killed.info.run_id, "KILLED")
        page = lines(f"{CNN}/model.keras")
    assert killed.info.run_id not in "".join(page)


@pytest.mark.fault("tampered with, and recorded by `dvc commit`")
@pytest.mark.parametrize(
    ("path", "subject", "tamper", "message"),
    [
        ("ensemble/model.keras", "ensemble", another_model, "ensemble/model.keras is not the model"),
        (
            "metrics/ensemble.json",
            "ensemble",
            lambda path: replace(path, '"accuracy": 0.', '"accuracy": 0.9'),
            "metric .*_accuracy",
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
def test_a_file_that_was_changed_and_recorded_is_caught(path, subject, tamper, message, small, record_property):
    with kept(path, "dvc.lock"):
        tamper(path)
        assert small.dvc("commit", "--force").returncode == 0
        with pytest.raises(UserError, match=message) as caught:
            lines(subject)
    record_property("seen", str(caught.value))
