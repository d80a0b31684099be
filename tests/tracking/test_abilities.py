"""Servers that are there and cannot do what is needed are named before any work, in seconds."""

import contextlib
import http.server
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import mlflow
import pytest

from pipeline.core import environment
from pipeline.core.environment import REGISTRY, TRACKING
from pipeline.core.errors import UserError
from pipeline.tracking import store
from tests.conftest import ROOT
from tests.test_docs import free_ports
from tools.screenshot import answered

CHAPTER = "surroundings"
SECONDS = 30  # of a machine that does other work: what MLflow itself tries takes minutes
EXPERIMENT = {"experiment_id": "1", "name": "cifar10", "artifact_location": "mlflow-artifacts:/1"}


class Old(http.server.BaseHTTPRequestHandler):
    """Answers as a server of MLflow before 3.0, which has no logged models."""

    def do_GET(self) -> None:
        answers = {"/health": "OK", "/version": self.server.version}
        found = {"experiment": EXPERIMENT | {"lifecycle_stage": "active"}}
        self.answer(200, answers.get(self.path) or (json.dumps(found) if "/experiments/" in self.path else ""))

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.answer(404, "<!doctype html>\n<title>404 Not Found</title>")

    def answer(self, status: int, text: str) -> None:
        self.send_response(status if text else 404)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_) -> None:
        pass


@contextlib.contextmanager
def old(version: str) -> Iterator[str]:
    """Run one; give its address."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Old) as server:
        server.version = version
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def place(store, monkeypatch) -> pytest.MonkeyPatch:
    """A workspace, whose variables name no server after the test."""
    yield monkeypatch
    monkeypatch.undo()
    mlflow.set_registry_uri("")


@pytest.mark.fault("MLflow 2.19 as", chapter=CHAPTER)
@pytest.mark.parametrize(("variable", "role"), [(TRACKING, "tracking server"), (REGISTRY, "registry server")])
def test_a_server_of_an_older_mlflow_stops_the_first_stage(variable, role, run_stage, record_property):
    with old("2.19.0") as url:
        began = time.monotonic()
        ended = run_stage("prepare", **{variable: url})
        assert time.monotonic() - began < SECONDS
    assert (ended.returncode, ended.stderr.count("\n")) == (1, 1)
    assert f"error: the {role} {url} is of MLflow 2.19.0, which has no logged models: update it" in ended.stderr
    record_property("seen", ended.stderr)


@pytest.mark.fault("a server without logged models that does not say its version", chapter=CHAPTER)
def test_a_server_without_logged_models_is_known_without_its_version(place, checked, record_property):
    with old("") as url:
        place.setenv(TRACKING, url)
        environment.check()
        with pytest.raises(UserError, match=f"the store {url} has no logged models") as caught:
            store.connect(checked)
    record_property("seen", str(caught.value))


@pytest.mark.fault("away, or silent:", chapter=CHAPTER)
@pytest.mark.parametrize(
    ("variable", "address", "told"),
    [
        (REGISTRY, "http://127.0.0.1:9", "the registry server http://127.0.0.1:9 does not answer"),
        (REGISTRY, "http://127.0.0.1:SILENT", "the registry server http://127.0.0.1:SILENT does not answer"),
        (TRACKING, "postgresql://127.0.0.1:9/db", "the database postgresql://127.0.0.1:9/db does not answer"),
        (REGISTRY, "mysql+pymysql://127.0.0.1:9/db", "the database mysql\\+pymysql://127.0.0.1:9/db does not answer"),
        (REGISTRY, "ftp://127.0.0.1", "MLFLOW_REGISTRY_URI: ftp://127.0.0.1 is no MLflow store"),
    ],
)
def test_a_store_that_is_away_is_named_in_seconds(variable, address, told, place, record_property):
    params = (ROOT / "params.yaml").read_text().replace("timeout: 5.0", "timeout: 0.5")
    Path("params.yaml").write_text(params)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = str(silent.getsockname()[1])
        place.setenv(variable, address.replace("SILENT", port))
        began = time.monotonic()
        with pytest.raises(UserError, match=told.replace("SILENT", port)) as caught:
            environment.check(write=False)
        assert time.monotonic() - began < 5
    record_property("seen", str(caught.value))


@pytest.fixture(scope="module")
def server(tmp_path_factory) -> Iterator[str]:
    """A real tracking server, whose artifacts' place cannot be written: it lies below a file."""
    folder = tmp_path_factory.mktemp("server")
    (folder / "file").touch()
    (port,) = free_ports(1)
    database = [
        "--backend-store-uri",
        f"sqlite:///{folder}/mlflow.db",
        "--artifacts-destination",
        f"{folder}/file/artifacts",
    ]
    command = [sys.executable, "-m", "mlflow", "server", "--workers", "1", "--port", port, *database]
    variables = os.environ | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    for variable in (TRACKING, REGISTRY):
        variables.pop(variable, None)
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(command, cwd=folder, env=variables, stdout=log, stderr=log)
    try:
        url = f"http://127.0.0.1:{port}"
        answered(f"{url}/health", process)
        yield url
    finally:
        process.terminate()
        process.wait(60)


@pytest.mark.slow
@pytest.mark.fault("an artifact store that refuses what is written", chapter=CHAPTER)
def test_artifacts_that_cannot_be_written_stop_the_stage_that_always_runs(server, place, checked, record_property):
    place.setenv(TRACKING, server)
    began = time.monotonic()
    with pytest.raises(UserError, match="the artifact store mlflow-artifacts:/1 takes no file") as caught:
        store.connect(checked)
    assert time.monotonic() - began < SECONDS
    record_property("seen", str(caught.value))


@pytest.mark.slow
@pytest.mark.fault("a registry server that has another store", chapter=CHAPTER)
def test_a_registry_server_that_does_not_know_the_stores_models_is_named(server, place, checked, record_property):
    place.setenv(REGISTRY, server)
    environment.check()
    with pytest.raises(UserError, match=f"the registry server {server} registers no models of another store") as caught:
        store.connect(checked)
    record_property("seen", str(caught.value))


@pytest.mark.slow
def test_reading_from_a_server_makes_nothing_there(server, place, checked):
    place.setenv(TRACKING, server)
    named = checked.model_copy(update={"tracking": checked.tracking.model_copy(update={"experiment": "never made"})})
    assert store.connect(named, write=False) == ""
    assert mlflow.get_experiment_by_name("never made") is None


def test_a_place_for_artifacts_that_is_read_only_stops_a_stage(place, tmp_path):
    """The folder of a store in a file, which another user may own."""
    Path("mlruns/artifacts").touch()  # what cannot be written, as root neither
    with pytest.raises(OSError, match="artifacts"):
        environment.check()
    environment.check(write=False)
