"""What runs again after a change, an interruption or a failure, and what becomes of runs and versions then."""

import functools
import os
import re
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from tests.workspace import MODEL


def test_nothing_runs_again_without_a_change(workspace):
    again = workspace.dvc("repro")
    assert again.returncode == 0
    started = re.findall(r"Running stage '(\w+)", again.stdout)
    assert set(started) == {"find", "summary"}
    assert workspace.candidates() == {row["candidate"] for row in workspace.read("reports/exports.json")}


def test_a_change_of_a_skipped_model_reaches_nothing_else(workspace):
    workspace.change("resnet50v2", epochs=7)  # for good: to take it back would be one more change
    again = workspace.dvc("repro")
    assert again.returncode == 0, again.stderr
    assert set(re.findall(r"Running stage '([\w@]+)", again.stdout)) == {"find", "train@resnet50v2", "summary"}


@pytest.mark.parametrize(
    ("where", "old", "new", "again"),
    [
        ("params.yaml", "learning_rate: 0.0003", "learning_rate: 0.0004", False),
        pytest.param("params.yaml", "rounds: 20", "rounds: 10", False, marks=pytest.mark.slow),
        ("params.yaml", "cut: block8_project_bn", "cut: block9_add", True),
        pytest.param("params.yaml", "resolution: 48", "resolution: 64", True, marks=pytest.mark.slow),
        ("pipeline/training/trunk.py", "BATCH = 250", "BATCH = 200", True),
        pytest.param(
            "data/weights/efficientnet_lite0/manifest.json", "official", "offical", True, marks=pytest.mark.slow
        ),
        ("data/train/labels.npy", None, None, True),
    ],
)
def test_the_trunk_is_computed_again_when_what_it_is_made_of_changed(where, old, new, again, workspace):
    path = workspace.folder / where
    before = path.read_bytes()
    path.unlink()  # which may be a link into DVC's cache
    try:
        path.write_bytes(before.replace(old.encode(), new.encode()) if old else before[:-1] + b"\x09")
        assert path.read_bytes() != before
        result = workspace.dvc("repro", "--dry")
    finally:
        path.write_bytes(before)
    assert result.returncode == 0, result.stderr
    assert ("Running stage 'trunk@efficientnet_lite0'" in result.stdout) == again


@pytest.mark.slow
def test_a_diverging_run_is_marked_failed_and_nothing_is_promoted(workspace):
    before = workspace.change("custom_cnn", learning_rate=1e6)
    try:
        result = workspace.dvc("repro")
    finally:
        (workspace.folder / "params.yaml").write_text(before)
    assert result.returncode != 0
    assert "error: training diverged" in result.stderr
    assert "Traceback" not in result.stderr
    assert workspace.runs().iloc[0]["status"] == "FAILED"
    assert workspace.candidates() == {row["candidate"] for row in workspace.read("reports/exports.json")}


@pytest.mark.slow
def test_ctrl_c_marks_the_run_killed_and_the_next_repro_runs_that_model_and_what_follows_only(workspace):
    before = workspace.change("custom_cnn", epochs=1000, patience=1000)
    command = [sys.executable, "-m", "dvc", "repro"]
    process = subprocess.Popen(
        command,
        cwd=workspace.folder,
        env=workspace.environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        # A shell that runs the tests in the background has its children ignore SIGINT.
        preexec_fn=functools.partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
    )
    try:
        known = len(workspace.runs())
        deadline = time.monotonic() + 400
        while len(workspace.runs()) == known or np.isnan(workspace.runs().iloc[0].get("metrics.loss", np.nan)):
            assert time.monotonic() < deadline, "no epoch was logged in 400 seconds"
            time.sleep(1)
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does
        assert process.wait(timeout=60) != 0
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
    assert "interrupted: run `dvc repro` to go on" in process.stderr.read()
    assert workspace.runs().iloc[0]["status"] == "KILLED"

    (workspace.folder / "params.yaml").write_text(before)
    workspace.change("custom_cnn", epochs=1)
    again = workspace.dvc("repro")
    assert again.returncode == 0, again.stderr
    started = set(re.findall(r"Running stage '([\w@]+)'", again.stdout))
    after = {"ensemble", "track_ensemble", "promote", "export", "publish", "report", "page"}
    own = {f"{stage}@custom_cnn" for stage in ("train", "evaluate", "track")}
    assert started - {"find", "summary"} == own | after
    decision = workspace.read("registry.json")  # less trained, so that it is no better than the champion
    if decision["version"] != "1":  # or the best is still the network that is champion, which was not trained again
        assert "refused: " in again.stdout
        challenger = workspace.client.get_model_version_by_alias(MODEL, "challenger")
        assert (str(challenger.version), challenger.current_stage) == (decision["version"], "Staging")
        assert challenger.tags["gate"] == decision["gate"]["reason"]
    champion = workspace.client.get_model_version_by_alias(MODEL, "champion")
    assert (str(champion.version), champion.current_stage) == ("1", "Production")
