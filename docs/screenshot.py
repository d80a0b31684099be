"""`python -m docs.screenshot`: takes docs/compare.png anew: MLflow's page of the runs in mlruns/, in Chromium."""

import contextlib
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import mlflow
import requests
from playwright.sync_api import Browser, Page, sync_playwright

from pipeline import errors, params, paths

PICTURE = Path("docs/compare.png")
CHARTS = "#/experiments/{}/runs?compareRunsMode=CHART"  # the runs of an experiment side by side
SIZE = {"width": 1200, "height": 950}  # pixels
CALM = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
PATIENCE = 300.0  # seconds for the server to answer


def main() -> None:
    experiment = params.load(paths.PARAMS).tracking.experiment
    with showing(paths.STORE) as address, sync_playwright() as playwright:
        mlflow.set_tracking_uri(address)
        known = mlflow.get_experiment_by_name(experiment)
        if known is None:
            raise errors.UserError(f"{paths.STORE} has no experiment {experiment}: run `dvc repro` first")
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=CALM)
        page = opened(browser, f"{address}/{CHARTS.format(known.experiment_id)}")
        page.get_by_text("learning_rate", exact=True).first.wait_for()
        page.wait_for_timeout(3000)  # the charts move for a while
        page.screenshot(path=PICTURE)
        browser.close()
    print(PICTURE)


@contextlib.contextmanager
def showing(store: Path) -> Iterator[str]:
    """The address of MLflow's pages of a store, mlruns or a copy, as `make ui` serves them. They end with the block.

    Raises UserError if there is no such store.
    """
    database = store.resolve() / "mlflow.db"
    if not database.is_file():
        raise errors.UserError(f"{database} does not exist: run `dvc repro` first")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    command = ["mlflow", "ui", "--host", "127.0.0.1", "--port", port, "--workers", "1"]
    light = os.environ | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
    server = subprocess.Popen(
        [*command, "--backend-store-uri", f"sqlite:///{database}"],
        env=light,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        address = f"http://127.0.0.1:{port}"
        answer(f"{address}/health", server)
        yield address
    finally:
        server.terminate()
        server.wait()


def answer(address: str, server: subprocess.Popen) -> None:
    """Wait until the server answers at that address. Raises UserError if it ends first, or after PATIENCE."""
    deadline = time.monotonic() + PATIENCE
    while server.poll() is None and time.monotonic() < deadline:
        with contextlib.suppress(requests.ConnectionError):
            requests.get(address, timeout=30).raise_for_status()
            return
        time.sleep(0.2)
    raise errors.UserError(f"nothing answers at {address}")


def opened(browser: Browser, address: str) -> Page:
    """A new tab with that page, without the assistant that MLflow opens on a first visit."""
    page = browser.new_page(viewport=SIZE)
    page.add_init_script("localStorage.setItem('mlflow.assistant.fab.autoOpenedOnFirstLoad_v1', 'true')")
    page.goto(address)
    return page


if __name__ == "__main__":
    errors.run(main)
