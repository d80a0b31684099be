"""What is wrong with the environment is one line before any work, and no password is in it."""

import pytest

from pipeline.core import environment
from pipeline.core.errors import UserError
from tests.conftest import ROOT

WORD = "secret"


@pytest.fixture
def place(tmp_path, monkeypatch):
    """An empty workspace, and nothing in the environment."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.yaml").write_text((ROOT / "params.yaml").read_text())
    for variable in (environment.TRACKING, environment.OFFLINE):
        monkeypatch.delenv(variable, raising=False)
    return tmp_path


def test_nothing_is_wrong_in_an_empty_workspace(place):
    assert environment.check().seed == 0


@pytest.mark.fault("in the environment")
@pytest.mark.parametrize(
    ("variable", "value", "told"),
    [
        (environment.BACKEND, "torchx", "KERAS_BACKEND: torchx is not for this project: give tensorflow or jax"),
        (environment.BACKEND, "torch", "KERAS_BACKEND: torch is not for this project"),
        (environment.OFFLINE, "yes", "CIFAR10_OFFLINE: yes says neither yes nor no: give 1, or unset it"),
        (environment.TRACKING, f"ftp://me:{WORD}@host", r"ftp://\*\*\*@host is no MLflow store"),
        (environment.TRACKING, f"http://me:{WORD}@127.0.0.1:9", r"http://\*\*\*@127.0.0.1:9 does not answer"),
        (environment.TRACKING, "http://a..b:5000", r"http://a..b:5000 does not answer \(that is no address"),
    ],
)
def test_a_wrong_variable_is_one_line_without_a_password(variable, value, told, place, monkeypatch, record_property):
    monkeypatch.setenv(variable, value)
    with pytest.raises(UserError, match=told) as caught:
        environment.check()
    assert WORD not in str(caught.value)
    record_property("seen", str(caught.value))


@pytest.mark.parametrize("value", ["", "0", "1"])
def test_offline_is_yes_or_no(value, place, monkeypatch):
    monkeypatch.setenv(environment.OFFLINE, value)
    environment.check()


@pytest.mark.fault("a workspace in a folder called")
@pytest.mark.parametrize("name", ["what?", "100%41", "number #1", "it's"])
def test_a_folder_whose_name_breaks_a_stores_address_is_refused(name, place, monkeypatch, record_property):
    (place / name).mkdir()
    (place / "params.yaml").rename(place / name / "params.yaml")
    monkeypatch.chdir(place / name)
    with pytest.raises(UserError, match=r"MLflow cannot keep a store where a name has .: rename the folder") as caught:
        environment.check()
    record_property("seen", str(caught.value).replace(str(place), ""))
    monkeypatch.setenv(environment.TRACKING, f"sqlite:///{place}/mlflow.db")
    environment.check()
