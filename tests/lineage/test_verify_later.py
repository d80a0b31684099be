"""Lineage of what was rightly changed since: decided on again, trained again with another result, begun and killed."""

import json
from pathlib import Path

import pytest
from mlflow import MlflowClient

from drills.files import small_model
from pipeline.formats import keras_archive
from pipeline.lineage import verify
from pipeline.registry import journal, promotion
from pipeline.tracking import provenance, runs
from tests.tampering import CNN, MODEL, artifact, decide_otherwise, kept, run_id

pytestmark = pytest.mark.usefixtures("inside")


def lines(subject: str) -> list[str]:
    return [line.text for line in verify.trace(subject, MODEL)]


def test_a_version_that_was_decided_on_again_elsewhere_has_that_decision_in_the_history():
    seen = promotion.settle(MODEL).entries
    decision = {"promote": False, "reason": "worse", "checks": [], "evidence": {"images": 5}}
    path = artifact("promotion.json")
    with kept(path):
        decide_otherwise(path, decision)
        entry = seen[-1] | {"action": "refuse", "evidence": provenance.digest(decision)}
        journal.append(MODEL, seen, entry)
        told = lines("1")
    assert "gate: worse" in told
    assert "registry.json tells of another decision" in told


def test_a_run_that_was_cut_off_is_no_link_from_a_file():
    fingerprint = keras_archive.fingerprint(Path(f"{CNN}/model.keras"))
    with kept():
        cut = MlflowClient().create_run("1", tags={runs.STAGE: "train@custom_cnn"})
        MlflowClient().set_terminated(cut.info.run_id, "KILLED")
        told = "\n".join(lines(f"{CNN}/model.keras"))
    assert fingerprint in told
    assert f"run {run_id('custom_cnn')}: custom_cnn, " in told
    assert cut.info.run_id not in told


def test_a_champion_whose_model_the_files_have_no_more_is_compared_with_itself():
    champion, facts = promotion.champion(MODEL), Path(f"{CNN}/model.json")
    with kept(str(facts), f"{CNN}/model.keras"):
        Path(f"{CNN}/model.keras").unlink()
        small_model(Path(f"{CNN}/model.keras"))
        other = json.loads(facts.read_text())
        other["fingerprint"] = keras_archive.fingerprint(Path(f"{CNN}/model.keras"))
        facts.unlink()
        facts.write_text(json.dumps(other))
        told = lines("@champion")
    assert f"run {champion.run_id}: custom_cnn, " in "\n".join(told)
    assert "files: of another model by now, not compared" in told
