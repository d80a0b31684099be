"""What a process prints: its own lines, and nothing of the libraries; but an error and a crash are always told."""

import subprocess
import sys

import pytest

from tests.conftest import ROOT
from tests.console import ENVIRONMENT

WORK = """
from pipeline.core import errors

def main():
    from pathlib import Path
    from pipeline.core import params
    from pipeline.tracking import store

    store.connect(params.load(Path("params.yaml")))
    import keras
    import mlflow
    import numpy as np

    images = np.zeros((4, 32, 32, 3), "uint8")
    inputs = keras.Input((32, 32, 3), dtype="uint8", name="images")
    outputs = keras.layers.Dense(10, "softmax")(keras.layers.Flatten()(keras.layers.Rescaling(1 / 255)(inputs)))
    model = keras.Model(inputs, outputs)
    model.compile("adam", "sparse_categorical_crossentropy")
    model.fit(images, np.zeros(4), verbose=0)
    with mlflow.start_run(log_system_metrics=True):
        Path("some.txt").write_text("some")
        mlflow.log_artifact("some.txt")
        mlflow.artifacts.download_artifacts(mlflow.get_artifact_uri("some.txt"), dst_path=".")
    print("done")

errors.run(main)
"""
AFTER_TENSORFLOW = """
from pipeline.core import errors
def main():
    import os, tensorflow
    {}
errors.run(main)
"""


def python(script: str, folder) -> subprocess.CompletedProcess:
    variables = ENVIRONMENT | {"PYTHONPATH": str(ROOT)}
    return subprocess.run([sys.executable, "-c", script], cwd=folder, env=variables, capture_output=True, text=True)


def test_nothing_of_tensorflow_and_mlflow_is_printed(tmp_path):
    for name in ("dvc.yaml", "params.yaml"):
        (tmp_path / name).write_text((ROOT / name).read_text())
    told = python(WORK, tmp_path)
    assert (told.returncode, told.stdout, told.stderr) == (0, "done\n", "")


@pytest.mark.parametrize(
    ("last", "status", "told"),
    [
        ("os.write(2, b'F0000 00:00:1 no memory'); os.abort()", -6, "F0000 00:00:1 no memory\n"),
        pytest.param("raise RuntimeError('a bug')", 1, "RuntimeError: a bug\n", marks=pytest.mark.slow),
        pytest.param("raise errors.UserError('a mistake')", 1, "error: a mistake\n", marks=pytest.mark.slow),
        ("os.write(2, b'E0000 00:00:1 out of memory\\nI0000 00:00:1 chatter\\n')", 0, "E0000 00:00:1 out of memory\n"),
    ],
)
def test_what_went_wrong_is_told(last, status, told, tmp_path):
    result = python(AFTER_TENSORFLOW.format(last), tmp_path)
    assert (result.returncode, result.stdout) == (status, "")
    assert result.stderr.endswith(told)
    assert "oneDNN" not in result.stderr and "chatter" not in result.stderr
