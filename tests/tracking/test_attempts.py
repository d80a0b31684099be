"""What a stage that was killed finds again, and when it begins anew."""

import shutil
import subprocess
import sys

import pytest
import yaml

from pipeline.core.errors import UserError
from pipeline.tracking.attempts import attempt
from tests.conftest import ROOT, repository

STAGE = "train@custom_cnn"


@pytest.fixture(autouse=True)
def workspace(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    repository(tmp_path)
    shutil.copytree(ROOT / "pipeline", tmp_path / "pipeline")
    for path in ("data/train", "data/validation", "data/weights/custom_cnn", "data/trunk/custom_cnn"):
        (tmp_path / path).mkdir(parents=True)
        (tmp_path / path / "something").touch()
    return tmp_path


def begin(device: str = "CPU") -> str:
    """Leave a file behind and return the attempt's name."""
    with attempt(STAGE, device) as current:
        (current.folder / "epoch.npz").touch()
        return current.id


def change_params(workspace, *keys: str) -> None:
    tree = yaml.safe_load((workspace / "params.yaml").read_text())
    section = tree
    for key in keys[:-1]:
        section = section[key]
    section[keys[-1]] += 1
    (workspace / "params.yaml").write_text(yaml.safe_dump(tree))


def test_an_interrupted_attempt_goes_on(workspace):
    first = begin()
    with attempt(STAGE, "CPU") as current:
        assert (current.id, current.superseded) == (first, None)
        assert (current.folder / "epoch.npz").exists()


def test_a_change_that_the_stage_does_not_depend_on_is_none(workspace):
    first = begin()
    change_params(workspace, "models", "mobilenetv2", "training", "epochs")
    assert begin() == first


@pytest.mark.parametrize("what", ["param", "code", "device", "recorded"])
def test_after_a_change_it_begins_anew(what, workspace):
    first = begin()
    if what == "param":
        change_params(workspace, "models", "custom_cnn", "training", "epochs")
    if what == "code":
        (workspace / "pipeline/training/fit.py").write_text("")
    if what == "recorded":
        (workspace / "dvc.lock").write_text(yaml.safe_dump({"schema": "2.0", "stages": {STAGE: {"cmd": "done"}}}))
    with attempt(STAGE, "GPU" if what == "device" else "CPU") as current:
        assert current.id != first
        assert current.superseded == first
        assert not (current.folder / "epoch.npz").exists()


def test_two_processes_are_never_at_the_same_stage(workspace):
    code = f"from pipeline.tracking.attempts import attempt\nwith attempt({STAGE!r}): print('in', flush=True), input()"
    other = subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={"PYTHONPATH": str(ROOT), "PATH": ""},
    )
    assert other.stdout.readline() == "in\n"
    with pytest.raises(UserError, match="train@custom_cnn is at work in another process"):
        begin()
    other.kill()
    other.wait()
    begin()
