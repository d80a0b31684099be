"""Lineage of what was rightly changed since: decided on or evaluated again, replaced, begun and killed."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from mlflow import MlflowClient

from drills.files import small_model
from pipeline.lineage import cache, exports, verify
from pipeline.lineage.lock import Broken, Locked
from pipeline.registry import journal, promotion, versions
from pipeline.tracking import logged_models, runs
from tests.tampering import CNN, MODEL, artifact, decide_otherwise, kept, run_id

pytestmark = pytest.mark.usefixtures("inside")


def lines(subject: str) -> list[str]:
    return [line for _, line in verify.trace(subject, MODEL)]


def test_a_version_that_was_decided_on_again_elsewhere_has_that_decision_in_the_history():
    seen = promotion.history(MODEL)
    decision = {"promote": False, "reason": "worse", "checks": [], "evidence": {"images": 5}}
    path = artifact("promotion.json")
    with kept(path):
        decide_otherwise(path, decision)
        entry = seen[-1] | {"action": "refuse", "evidence": versions.digest(decision)}
        journal.append(MODEL, seen, entry)
        told = lines("1")
    assert "gate: worse" in told
    assert "registry.json tells of another decision" in told


def test_figures_are_those_of_any_evaluation_of_the_run():
    client, version = MlflowClient(), promotion.champion(MODEL)
    known = runs.find(version.run_id)
    with kept():
        for value in (0.25, known.data.metrics["test_ece"]):
            client.log_metric(known.info.run_id, "test_ece", value)
        version.tags["test_ece"] = "0.250000"
        assert list(verify._figures(version, known, "link"))
        version.tags["test_ece"] = "0.260000"
        with pytest.raises(Broken, match=r"tag test_ece: 0\.260000, but its run has"):
            list(verify._figures(version, known, "link"))


def test_a_run_that_was_killed_is_no_link_from_a_file():
    client, tags = MlflowClient(), runs.find(run_id("custom_cnn")).data.tags
    with kept():
        killed = client.create_run("1", tags={logged_models.FINGERPRINT: tags[logged_models.FINGERPRINT]})
        client.set_terminated(killed.info.run_id, "KILLED")
        told = lines(f"{CNN}/model.keras")
    assert f"run {run_id('custom_cnn')}, custom_cnn, FINISHED" in told
    assert killed.info.run_id not in "".join(told)


def test_an_edge_model_that_another_experiment_named_is_no_broken_link():
    with kept("reports/edge.json"):
        edge = json.loads(Path("reports/edge.json").read_text())
        edge["tags"][logged_models.FINGERPRINT] = "0" * 64
        Path("reports/edge.json").write_text(json.dumps(edge | {"version": "7"}))
        told = list(exports.verify_edge(versions.resolve(MODEL, "@edge"), Locked.here(), "a link"))
    assert told == [(1, "reports/edge.json tells of version 7")]


@pytest.fixture
def replaced(small) -> Iterator[str]:
    """The id of a run whose outputs, recorded in a commit, another training has replaced."""
    before, old = Path("dvc.lock").read_bytes(), run_id("custom_cnn")
    small.git("add", "--all")
    small.git("commit", "--quiet", "--allow-empty", "-m", "What the run left")
    for change in (before + b"# of another evaluation\n", before):
        Path("dvc.lock").write_bytes(change)
        small.git("commit", "--quiet", "--all", "-m", "Evaluated again")
    with kept():
        again = small.dvc("repro", "--single-item", "--force", "train@custom_cnn")
        assert again.returncode == 0, again.stderr
        yield old
    Path("dvc.lock").write_bytes(before)
    assert small.dvc("checkout", "--force").returncode == 0
    small.git("checkout", "--", ".")


def test_a_run_whose_files_were_replaced_is_verified_with_those_of_its_time(replaced, small, tmp_path):
    new, now = run_id("custom_cnn"), Path("dvc.lock").read_bytes()
    commit = small.git("log", "--format=%H", "dvc.lock").split()[0]  # the last one
    told = "\n".join(lines(replaced))
    assert f"its files were replaced since; by dvc.lock of commit {commit}" in told
    assert f"out {CNN} " in told
    assert "in DVC's cache" in told
    history = "plots/history/custom_cnn.csv"  # which only git has, unless a test has put it into DVC's cache
    assert f"out {history} {Locked.at(commit).outs[history]}, in " in told

    model = cache.files(Locked.at(commit).outs[CNN])["model.keras"]
    model.chmod(0o644)
    small_model(tmp_path / "another.keras")
    with kept(str(model)):
        model.write_bytes((tmp_path / "another.keras").read_bytes())
        with pytest.raises(Broken, match=f"out {CNN}: it has MD5"):
            lines(replaced)

    Path("dvc.lock").write_bytes(small.git("show", "HEAD:dvc.lock").encode())  # now the new run is of no dvc.lock
    assert small.dvc("checkout", "--force").returncode == 0
    told = "\n".join(lines(new))
    assert "its files were replaced since; by its tags" in told
    assert f"out {CNN} " in told
    Path("dvc.lock").write_bytes(now)
