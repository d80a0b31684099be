"""A logged model's folder: what MLflow would load and run by it."""

import shutil
from pathlib import Path

import pytest

from pipeline.lineage import model
from tests.tampering import logged, replace

pytestmark = pytest.mark.usefixtures("inside")


@pytest.fixture
def folder(tmp_path) -> Path:
    """A copy of the champion's, as MLflow made it."""
    return Path(shutil.copytree(Path(logged("MLmodel")).parent, tmp_path / "model"))


def test_what_mlflow_made_has_no_fault(folder):
    assert model.fault(folder) is None


CHANGED = {
    "another loader": (
        lambda path: replace(path / "MLmodel", "loader_module: mlflow.tensorflow", "loader_module: x"),
        "MLmodel",
    ),
    "code that is put on the path": (lambda path: replace(path / "MLmodel", "code: null", "code: code"), "MLmodel"),
    "another folder": (lambda path: replace(path / "MLmodel", "data: data", "data: elsewhere"), "MLmodel"),
    "an MLmodel that is none": (lambda path: (path / "MLmodel").write_text("{"), "MLmodel is damaged"),
    "objects that would be unpickled": (
        lambda path: (path / "data/global_custom_objects.cloudpickle").write_bytes(b""),
        "data/global_custom_objects.cloudpickle",
    ),
    "another module of Keras": (lambda path: (path / "data/keras_module.txt").write_text("x"), "keras_module.txt"),
}


@pytest.mark.fault("a logged model with")
@pytest.mark.parametrize("what", CHANGED)
def test_what_would_run_something_else_is_a_fault(what, folder, record_property):
    change, told = CHANGED[what]
    change(folder)
    assert told in model.fault(folder)
    record_property("seen", model.fault(folder))
