"""What is made again is the same, and MLflow finds it: forced, changed and changed back, told anew from files."""

import re
import shutil
from pathlib import Path

import pytest

from pipeline.core import candidates
from pipeline.registry import versions
from pipeline.tracking import provenance, runs
from tests.tampering import MODEL, kept, run_id
from tests.workspace import Workspace

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("inside")]

TRAIN = "train@custom_cnn"


def model_hash() -> str:
    (out,) = (out for out in provenance.locked()[TRAIN]["outs"] if out["path"] == "models/custom_cnn")
    return out["md5"]


def test_a_forced_training_gives_the_same_files_and_nothing_that_follows_runs_again(small):
    before = model_hash()
    with kept():
        again = small.dvc("repro", "--force", "--single-item", TRAIN)
        assert again.returncode == 0, again.stderr
        assert model_hash() == before
        status = small.dvc("status", "--json").stdout
    assert not re.search("evaluate@|ensemble|track|promote|export|publish|report|page", status), status


def test_params_that_are_changed_back_find_model_and_run_without_a_training(small):
    first, fingerprint = run_id("custom_cnn"), candidates.facts("custom_cnn")["fingerprint"]
    with kept():
        before = small.change("custom_cnn", epochs=1)
        try:
            changed = small.dvc("repro", "track@custom_cnn")
            assert changed.returncode == 0, changed.stderr
            assert candidates.facts("custom_cnn")["fingerprint"] != fingerprint
            assert run_id("custom_cnn") != first
        finally:
            Path("params.yaml").write_text(before)
            back = small.dvc("repro", "track@custom_cnn")
        assert back.returncode == 0, back.stderr
        assert f"Stage '{TRAIN}' is cached" in back.stdout
        assert f"Running stage '{TRAIN}'" not in back.stdout
        assert run_id("custom_cnn") == first


@pytest.mark.fault("a store that was deleted")
def test_a_store_that_was_deleted_is_told_anew_and_nothing_is_trained(small, raw, tmp_path):
    shutil.move("mlruns", tmp_path / "mlruns")
    try:
        restored = small.pipeline("restore")
        assert restored.returncode == 0, restored.stderr
        assert re.search("custom_cnn: run [0-9a-f]{32} restored", restored.stdout)
        assert "epoch 1" not in restored.stdout + restored.stderr
        # By another address, since MLflow keeps what it has opened by this one.
        anew = Workspace(small.folder / ".." / small.folder.name, raw)
        told = [anew.run(name) for name in ("custom_cnn", "ensemble")]
        assert all(run.info.status == "FINISHED" and runs.FINGERPRINT in run.data.tags for run in told)
        version = anew.client.get_model_version_by_alias(MODEL, "champion")
        assert (version.current_stage, {*version.aliases}) == ("Production", {"champion", versions.EDGE})
        assert small.pipeline("lineage", "@champion").returncode == 0
    finally:
        shutil.rmtree("mlruns", ignore_errors=True)
        shutil.move(tmp_path / "mlruns", "mlruns")
