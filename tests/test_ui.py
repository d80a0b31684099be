"""`make ui`: the addresses that it prints lead to the experiment and the model, also those of a tracking server."""

import os
import re
import subprocess
import sys

import pytest
import requests

from tests.conftest import ROOT
from tests.test_docs import free_ports
from tools.screenshot import answered


@pytest.fixture
def ui(store, tmp_path):
    """Start `python -m tools.ui` in a folder with a store; give the process and its first two lines."""
    started = []

    def start(**variables: str) -> tuple[subprocess.Popen, list[str]]:
        environment = os.environ | {"PYTHONPATH": str(ROOT)}
        environment.pop("MLFLOW_TRACKING_URI", None)
        process = subprocess.Popen(
            [sys.executable, "-m", "tools.ui"],
            cwd=tmp_path,
            env=environment | variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        started.append(process)
        return process, [process.stdout.readline() for _ in range(2)]

    yield start
    for process in started:
        process.terminate()
        process.wait(60)


@pytest.mark.slow
def test_it_shows_the_store_or_names_the_pages_of_a_tracking_server(ui, checked):
    (port,) = free_ports(1)
    address = f"http://127.0.0.1:{port}"
    process, lines = ui(PORT=port)
    number = re.fullmatch(rf"runs:  {address}/#/experiments/(\d+)/runs\n", lines[0])[1]
    assert lines[1] == f"model: {address}/#/models/{checked.registry.model}\n"
    answered(f"{address}/health", process)
    asked = requests.get(f"{address}/api/2.0/mlflow/experiments/get", {"experiment_id": number}, timeout=60).json()
    assert asked["experiment"]["name"] == checked.tracking.experiment
    other, again = ui(MLFLOW_TRACKING_URI=address)
    assert (other.wait(60), again) == (0, lines)
