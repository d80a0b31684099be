"""`python -m tools.screenshot`: takes docs/compare.png anew: MLflow's page of the runs in mlruns/, in Chromium."""

import contextlib
import os
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import mlflow
import requests
from playwright.sync_api import Browser

from pipeline.core import errors, params, paths
from tests.browser import Visit, executable, started, visit

PICTURE = Path("docs/compare.png")
CHARTS = "experiments/{}/runs?compareRunsMode=CHART"  # the runs of an experiment side by side
PATIENCE = 300.0  # seconds for the server to answer


def main() -> None:
    if executable() is None:
        raise errors.UserError("no browser: put chromium or google-chrome on the PATH")
    experiment = params.load(paths.PARAMS).tracking.experiment
    with showing(paths.STORE) as address, started() as browser:
        mlflow.set_tracking_uri(address)
        known = mlflow.get_experiment_by_name(experiment)
        if known is None:
            raise errors.UserError(f"{paths.STORE} has no experiment {experiment}: run `dvc repro` first")
        with opened(browser, address, CHARTS.format(known.experiment_id)) as seen:
            seen.page.get_by_text("learning_rate", exact=True).first.wait_for()
            seen.page.wait_for_timeout(3000)  # the charts move for a while
            seen.page.screenshot(path=PICTURE)
    print(PICTURE)


@contextlib.contextmanager
def showing(store: Path) -> Iterator[str]:
    """The address of MLflow's pages of a store, as `make ui` serves those of mlruns. They end with the block.

    Raises UserError if there is no such store, or the server does not start.
    """
    database = store.resolve() / "mlflow.db"
    if not database.is_file():
        raise errors.UserError(f"{database} does not exist: run `dvc repro` first")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    command = ["mlflow", "ui", "--workers", "1", "--host", "127.0.0.1", "--port", port]
    command += ["--backend-store-uri", f"sqlite:///{database}"]
    light = os.environ | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
    server = subprocess.Popen(command, env=light, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        answered(f"http://127.0.0.1:{port}/health", server)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait()


def answered(address: str, server: subprocess.Popen) -> str:
    """Wait until a server answers well; return what. Raises UserError if it ends first, or after PATIENCE."""
    deadline = time.monotonic() + PATIENCE
    while server.poll() is None and time.monotonic() < deadline:
        with contextlib.suppress(requests.RequestException):
            answer = requests.get(address, timeout=30)
            answer.raise_for_status()
            return answer.text
        time.sleep(0.2)
    raise errors.UserError(f"nothing answers at {address}")


@contextlib.contextmanager
def opened(browser: Browser, address: str, place: str) -> Iterator[Visit]:
    """Open a page of MLflow at an address, without the assistant that opens by itself on a first visit."""
    visited = [{"name": "mlflow.assistant.fab.autoOpenedOnFirstLoad_v1", "value": "true"}]
    state = {"cookies": [], "origins": [{"origin": address, "localStorage": visited}]}
    with visit(browser, f"{address}/#/{place}", 1200, 950, storage_state=state) as seen:
        yield seen


if __name__ == "__main__":
    errors.run(main)
