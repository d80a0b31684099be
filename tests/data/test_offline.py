"""What the command says before work without a network."""

import os
import subprocess
import sys

import pytest
import yaml

from tests.conftest import ROOT


@pytest.fixture
def offline(tmp_path):
    """Run the command in an empty folder with the project's params, changed as told; return the process."""

    def run(on_unreachable="skip", **environment: str) -> subprocess.CompletedProcess:
        tree = yaml.safe_load((ROOT / "params.yaml").read_text())
        tree["weights"]["on_unreachable"] = on_unreachable
        (tmp_path / "params.yaml").write_text(yaml.safe_dump(tree, sort_keys=False))
        known = {key: value for key, value in os.environ.items() if not key.startswith("CIFAR10_")}
        variables = known | {"PYTHONPATH": str(ROOT), "HOME": str(tmp_path), "KERAS_HOME": ""} | environment
        command = [sys.executable, "-m", "pipeline", "offline"]
        return subprocess.run(command, cwd=tmp_path, env=variables, capture_output=True, text=True)

    return run


def test_what_is_missing_is_said_with_its_checksum_and_its_place(offline, tmp_path):
    result = offline()
    assert (result.returncode, result.stderr) == (1, "")
    lines = result.stdout.splitlines()
    assert lines[0].startswith("CIFAR-10: missing: put cifar-10-binary.tar.gz (MD5 c32a1d4ab5d03f1284b67883e8d87530)")
    assert "test_batch.bin (MD5 803d5f7f4d78ea53de84dbe85f74fb6d)" in lines[0]
    assert "CIFAR10_DATA" in lines[0]
    assert lines[1] == "custom_cnn: needs no weights"
    (cnn,) = [line for line in lines if line.startswith("efficientnetb0")]
    assert "it is skipped: put efficientnetb0_notop.h5 (md5 50bc09e76180e00e4465e1a485ddc09d)" in cnn
    assert f"into {tmp_path / 'weights'}, or set CIFAR10_WEIGHTS" in cnn
    assert lines[-1] == "CIFAR10_OFFLINE=1 dvc repro would stop: something is missing"
    assert not (tmp_path / "data").exists()


def test_with_the_data_it_would_run_and_skip_what_has_no_weights(offline, raw):
    result = offline(CIFAR10_DATA=str(raw))
    assert result.returncode == 0
    assert f"CIFAR-10: in {raw}" in result.stdout
    assert result.stdout.endswith("dvc repro would run\n")


def test_without_weights_that_must_be_there_it_would_stop(offline, raw):
    result = offline("fail", CIFAR10_DATA=str(raw))
    assert result.returncode == 1
    assert "weights missing, it stops the run" in result.stdout


@pytest.mark.fault("a copy of the data that is damaged")
def test_what_is_wrong_with_a_copy_is_said(offline, tmp_path):
    (tmp_path / "copy").mkdir()
    (tmp_path / "copy/data_batch_1").write_bytes(b"no pickle")
    result = offline(CIFAR10_DATA=str(tmp_path / "copy"))
    assert result.returncode == 1
    assert f"(local {tmp_path / 'copy'}: data_batch_1 is no batch of CIFAR-10's Python version: " in result.stdout
