"""A really started server of a registered ensemble, for the tests of what it answers and of its page."""

import io
import json
import os
import re
import subprocess
import sys
import time

import mlflow
import numpy as np
import pytest
import requests
from PIL import Image

from pipeline.formats import keras_model
from pipeline.layers import wrappers
from pipeline.registry import promotion, versions
from pipeline.tracking import logged_models, store
from tests.conftest import ROOT

JSON = {"Content-Type": "application/json"}
PATIENCE = 300.0  # seconds


def tiny(name: str):
    import keras

    images = keras.Input((32, 32, 3), dtype="uint8", name="images")
    pooled = keras.layers.AveragePooling2D(8)(keras.layers.Rescaling(1 / 255)(images))
    logits = keras.layers.Dense(10, kernel_initializer="normal")(keras.layers.Flatten()(pooled))
    return wrappers.calibrated(keras.Model(images, logits, name=f"{name}_network"), 0.1, name)


@pytest.fixture(scope="session")
def served_model():
    import keras

    keras.utils.set_random_seed(0)
    return wrappers.ensemble([tiny("one"), tiny("two")], [0.25, 0.75], 0.8)


@pytest.fixture(scope="session")
def served_folder(tmp_path_factory, served_model, checked):
    """A folder with a store in which the ensemble is in Production."""
    place = tmp_path_factory.mktemp("served")
    for name in ("dvc.yaml", "params.yaml"):
        (place / name).write_text((ROOT / name).read_text())
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        experiment = store.connect(checked)
        run = mlflow.MlflowClient().create_run(experiment)
        keras_model.save(served_model, place / "model.keras")
        address = logged_models.log(run, place / "model.keras", np.zeros((1, 32, 32, 3), "uint8")).model_uri
        name = checked.registry.model
        promotion.enter(name, "promote", versions.register(name, address, "tiny", {}), "a test", promotion.settle(name))
    return place


def start(folder, *arguments: str) -> subprocess.Popen:
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    environment.pop("MLFLOW_TRACKING_URI", None)
    command = [sys.executable, "-m", "pipeline", "serve", *arguments]
    return subprocess.Popen(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


@pytest.fixture(scope="session")
def url(served_folder):
    process = start(served_folder, "--port", "0")
    lines = [process.stdout.readline() for _ in range(4)]
    assert "version 1 (Production)" in lines[0], process.stderr.read()
    address = re.search(r"http://127\.0\.0\.1:\d+", lines[1])[0]
    assert f"| curl -s {address}/invocations -H 'Content-Type: application/json' -d @-" in lines[3]
    try:
        until_ready(address)
        yield address
    finally:
        process.terminate()
        process.wait(60)


def until_ready(address: str) -> None:
    began = time.monotonic()
    while time.monotonic() - began < PATIENCE:
        try:
            if requests.get(f"{address}/ready", timeout=PATIENCE).status_code == 200:
                return
        except requests.ConnectionError:
            pass
        time.sleep(0.5)
    raise AssertionError("the server does not become ready")


def ask(address: str, images: np.ndarray, key: str = "inputs") -> requests.Response:
    body = json.dumps({key: images.tolist()})
    return requests.post(f"{address}/invocations", body, headers=JSON, timeout=PATIENCE)


def png(image: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(image).save(file, "PNG")
    return file.getvalue()
