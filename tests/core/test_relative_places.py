"""Relative places mean the user's repository, also in the folders that DVC makes for an experiment, and deletes."""

import os
import shutil
from pathlib import Path

import mlflow
import pytest
from mlflow import MlflowClient

from pipeline.core import environment, paths
from pipeline.core.errors import UserError
from pipeline.data import local, sources, weights
from pipeline.tracking import store

CHAPTER = "surroundings"
FOLDERS = (".dvc/tmp/exps/standalone/tmpa1b2c3", ".dvc/tmp/exps/tmpd4e5f6")  # of --temp and --queue


@pytest.fixture(params=FOLDERS, ids=["--temp", "--queue"])
def repository(request, store, tmp_path, monkeypatch) -> Path:
    """A repository with a store; the current folder is that of an experiment in it."""
    folder = tmp_path / request.param
    folder.mkdir(parents=True)
    for name in ("params.yaml", "dvc.yaml"):
        shutil.copy(name, folder)
    monkeypatch.chdir(folder)
    for variable in (environment.TRACKING, environment.REGISTRY, sources.ENVIRONMENT, weights.ENVIRONMENT):
        monkeypatch.delenv(variable, raising=False)
    return tmp_path


@pytest.mark.fault("in an experiment's folder, as MLFLOW_TRACKING_URI", chapter=CHAPTER)
@pytest.mark.parametrize("given", ["", "sqlite:///mlruns/mlflow.db", "sqlite:///./mlruns/mlflow.db?timeout=30"])
def test_runs_are_in_the_repositorys_store(given, repository, checked, monkeypatch):
    monkeypatch.setenv(environment.TRACKING, given)
    environment.check()
    run = MlflowClient().create_run(store.connect(checked)).info
    database = repository / "mlruns" / "mlflow.db"
    assert environment.store_file(mlflow.get_tracking_uri()) == database
    assert run.artifact_uri.startswith((database.parent / "artifacts").as_uri())
    assert sorted(path.name for path in Path().iterdir()) == ["dvc.yaml", "params.yaml"]


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("sqlite:///other/runs.db", "sqlite:///{repository}/other/runs.db"),
        ("sqlite:///../beside.db", "sqlite:///{repository.parent}/beside.db"),
        ("sqlite:///~/runs.db", "sqlite:///{repository}/home/runs.db"),
        ("sqlite:////srv/runs.db", "sqlite:////srv/runs.db"),
        ("sqlite:///:memory:", "sqlite:///:memory:"),
        ("http://127.0.0.1:5000", "http://127.0.0.1:5000"),
    ],
)
def test_an_address_means_the_same_for_store_and_registry(given, meant, repository, monkeypatch):
    monkeypatch.setenv("HOME", str(repository / "home"))
    monkeypatch.setenv(environment.TRACKING, given)
    monkeypatch.setenv(environment.REGISTRY, given)
    expected = meant.format(repository=repository)
    assert (environment.tracking_uri(), environment.registry_uri()) == (expected, expected)


@pytest.mark.fault("in an experiment's folder, a relative place of", chapter=CHAPTER)
@pytest.mark.parametrize("where", [weights.ENVIRONMENT, "weights.folder", "weights.folder, at home"])
def test_weights_are_looked_for_in_the_repository(where, repository, checked, monkeypatch):
    expected = repository / "some" / "weights"
    expected.mkdir(parents=True)
    given = "some/weights"
    if where == weights.ENVIRONMENT:
        monkeypatch.setenv(where, given)
        assert weights.folder(checked) == expected
        monkeypatch.setenv(where, "nowhere")
        with pytest.raises(UserError, match="CIFAR10_WEIGHTS: nowhere is not a folder"):
            weights.folder(checked)
        return
    if "home" in where:
        monkeypatch.setenv("HOME", str(repository / "some"))
        given = "~/weights"
    settings = checked.weights.model_copy(update={"folder": given})
    assert weights.folder(checked.model_copy(update={"weights": settings})) == expected


@pytest.mark.fault("in an experiment's folder, a relative place of the data", chapter=CHAPTER)
def test_data_are_looked_for_in_the_repository(repository, checked, monkeypatch):
    (repository / "some").mkdir()
    (repository / "some" / "cifar-10-binary.tar.gz").write_bytes(b"nothing")
    monkeypatch.setenv(sources.ENVIRONMENT, "some")
    ((name, _),) = sources.attempts(sources.from_environment(), checked.http)
    assert name == "local some/cifar-10-binary.tar.gz"
    assert [path for path, _ in local.find(paths.shared("some"))] == [repository / "some" / "cifar-10-binary.tar.gz"]


@pytest.mark.fault("in an experiment's folder, a relative file with certificates", chapter=CHAPTER)
@pytest.mark.parametrize("variable", ["REQUESTS_CA_BUNDLE", *environment.CERTIFICATES])
def test_certificates_are_looked_for_in_the_repository(variable, repository, monkeypatch):
    (repository / "own.pem").touch()
    monkeypatch.setenv(variable, "own.pem")
    environment.check()
    assert os.environ[variable] == str(repository / "own.pem")
    monkeypatch.setenv(variable, "other.pem")
    with pytest.raises(UserError, match=f"{variable}: other.pem does not exist"):
        environment.check()


@pytest.mark.slow
@pytest.mark.fault("`dvc exp run --temp` with a relative MLFLOW_TRACKING_URI", chapter=CHAPTER)
def test_a_run_of_a_temporary_experiment_is_in_the_repositorys_store(small):
    small.git("add", "--all")
    small.git("commit", "--quiet", "--allow-empty", "-m", "What the run left")
    known = set(small.runs()["run_id"])
    environment, small.environment = (
        small.environment,
        small.environment
        | {
            "MLFLOW_TRACKING_URI": "sqlite:///mlruns/mlflow.db",
            "CIFAR10_WEIGHTS": "data",
        },
    )
    try:
        ended = small.dvc(
            *("exp", "run", "--temp", "--no-hydra"),
            *("-S", "models.custom_cnn.training.epochs=1", "track@custom_cnn"),
        )
    finally:
        small.environment = environment
    assert ended.returncode == 0, ended.stdout + ended.stderr
    found = small.runs().set_index("run_id").drop(known)
    assert list(found["params.training.epochs"]) == ["1"]
    (run_id,) = found.index
    assert [file.path for file in small.client.list_artifacts(run_id)]
    assert not [*small.folder.glob(".dvc/tmp/exps/**/mlflow.db")]
