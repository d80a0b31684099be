"""Variables and files of the surroundings steer neither what is ours nor what we write to: git's, MLflow's, DVC's,
Keras', Python's and pip's."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import mlflow
import pytest

from pipeline import core
from pipeline.core import environment
from pipeline.core.errors import UserError
from pipeline.tracking import store as tracking
from tests.conftest import ROOT
from tests.toy import PATH, content, foreign, git, project, python
from tools import surroundings

WORKSPACE = "from pathlib import Path; from tools import smoke; smoke.make_workspace(Path('.smoke'))"
COMMIT = "from pipeline.tracking import provenance; print(provenance.git()['git.commit'])"
REGISTER = """
import mlflow
client = mlflow.MlflowClient()
client.create_registered_model("toy")
client.create_run("0")
open("out", "w").write(mlflow.get_registry_uri())
"""
STAGE = "stages: {register: {cmd: python register.py, deps: [register.py], outs: [out]}}\n"
LOG = """
from pathlib import Path
import mlflow
from mlflow.entities import Metric
from pipeline.core import params
from pipeline.tracking import store
experiment = store.connect(params.load())
with mlflow.start_run() as run:
    mlflow.log_params({"a": 1})
    mlflow.MlflowClient().log_batch(run.info.run_id, [Metric("m", 1.0, 1, 0)])
    print(len(mlflow.MlflowClient().get_metric_history(run.info.run_id, "m")), end=" ")
found = mlflow.get_run(run.info.run_id)
print(found.info.experiment_id == experiment, "mlflow.parentRunId" in found.data.tags)
"""
FIT = """
import json
from pipeline import core
import keras
import numpy as np
network = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Conv2D(2, 3), keras.layers.Flatten()])
network.compile("sgd", "mse")
seen = network.fit(np.zeros((8, 8, 8, 3)), np.zeros((8, 72)), batch_size=1, epochs=2, verbose=0)
config = keras.config
print(json.dumps([config.backend(), config.floatx(), config.epsilon(), config.image_data_format(),
    config.is_nnx_enabled(), len(seen.epoch), int(network.optimizer.iterations), network.dtype]))
"""


def test_the_variables_that_name_a_repository_are_those_that_git_names():
    named = subprocess.run(["git", "rev-parse", "--local-env-vars"], check=True, capture_output=True, text=True).stdout
    assert {name for name in named.split() if not name.startswith("GIT_CONFIG")} <= {*core.REPOSITORY}


def of(foreign: Path) -> dict[str, dict[str, str]]:
    """Sets of variables that lead to a foreign repository, or to parts of it."""
    own = {"GIT_DIR": f"{foreign}/.git"}
    return {
        "GIT_DIR": own,
        "GIT_WORK_TREE": own | {"GIT_WORK_TREE": str(foreign), "GIT_PREFIX": "sub/"},
        "GIT_INDEX_FILE": {"GIT_INDEX_FILE": f"{foreign}/.git/index"},
        "GIT_OBJECT_DIRECTORY": {"GIT_OBJECT_DIRECTORY": f"{foreign}/.git/objects", "GIT_QUARANTINE_PATH": "x"},
    }


@pytest.mark.fault("smoke's workspace is made, and a foreign repository named by", chapter="surroundings")
@pytest.mark.parametrize("variables", of(Path()))
def test_no_variable_of_gits_makes_smoke_write_elsewhere(variables, tmp_path):
    theirs, own = foreign(tmp_path / "theirs"), project(tmp_path / "own", **{"code.py": "\n"})
    before = content(theirs), content(own)
    result = python(own, "-c", WORKSPACE, **of(theirs)[variables])
    assert result.returncode == 0, result.stderr
    made = content(own)
    assert content(theirs) == before[0]
    assert {name: text for name, text in made.items() if not name.startswith(".smoke/")} == before[1]
    assert git(own / ".smoke", "log", "--format=%s") == "Smoke test\n"
    assert "code.py" in git(own / ".smoke", "ls-files")


@pytest.mark.fault("smoke's workspace is made by a hook of git's, in a linked work tree", chapter="surroundings")
def test_a_hook_that_makes_smokes_workspace_commits_what_the_user_commits(tmp_path):
    own = project(tmp_path / "own")
    hook = own / ".git/hooks/pre-commit"
    hook.write_text(f'#!/bin/sh\n[ "$GIT_DIR" ] || exit 9\nPYTHONPATH={ROOT} exec {sys.executable} -c "{WORKSPACE}"\n')
    hook.chmod(0o755)
    git(own, "worktree", "add", "--quiet", str(tmp_path / "linked"))
    linked = tmp_path / "linked"
    (linked / "mine.txt").write_text("mine\n")
    git(linked, "add", "mine.txt")
    git(linked, "-c", f"core.hooksPath={hook.parent}", "commit", "--quiet", "-m", "Mine")
    assert git(own, "log", "--format=%s", "linked") == "Mine\nThe project\n"
    assert git(own, "show", "--name-only", "--format=", "linked") == "mine.txt\n"
    assert git(own, "config", "core.bare") == "false\n"
    assert git(linked / ".smoke", "log", "--format=%s") == "Smoke test\n"


@pytest.mark.fault("the commit of a result is asked for, and a foreign repository named by", chapter="surroundings")
@pytest.mark.parametrize("variables", ["GIT_DIR", "GIT_WORK_TREE", "GIT_OBJECT_DIRECTORY"])
def test_a_result_is_recorded_with_its_own_repositorys_commit(variables, tmp_path):
    theirs, own = foreign(tmp_path / "theirs"), project(tmp_path / "own")
    assert python(own, "-c", COMMIT, **of(theirs)[variables]).stdout == git(own, "rev-parse", "HEAD")


@pytest.mark.fault(
    "`make smoke`, and variables that lead to the user's stores, remotes and DVC", chapter="surroundings"
)
def test_smoke_writes_to_no_registry_store_or_cache_of_the_users(database, tmp_path):
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    shutil.copy(database, theirs)
    (theirs / "config").write_text(f"[cache]\n    dir = {theirs}/cache\n[exp]\n    auto_push = true\n")
    uri = f"sqlite:///{theirs}/{environment.DATABASE}"
    variables = dict.fromkeys(("MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI"), uri)
    variables |= {"MLFLOW_EXPERIMENT_ID": "0", "MLFLOW_RUN_ID": "0" * 32, "MLFLOW_WORKSPACE": "team"}
    variables |= {"DVC_GLOBAL_CONFIG_DIR": str(theirs), "DVC_EXP_GIT_REMOTE": str(theirs), "KERAS_HOME": str(theirs)}
    before = content(theirs)
    own = project(tmp_path / "own", **{"register.py": REGISTER, "dvc.yaml": STAGE})
    result = python(own, "-m", "tools.smoke", **variables)
    assert result.returncode == 0, result.stderr
    assert content(theirs) == before
    registry = f"sqlite:///{own}/.smoke/{(own / '.smoke/out').read_text().rpartition('/')[2]}"
    assert mlflow.MlflowClient(registry, registry).get_registered_model("toy")
    assert list((own / ".smoke/.dvc/cache").rglob("*"))


@pytest.mark.parametrize("program", ["drills", pytest.param("tests.conftest", marks=pytest.mark.slow)])
def test_drills_and_tests_begin_without_the_users_stores(program, tmp_path):
    code = (
        f"import os, {program}; print(sorted(name for name in os.environ if name in {{*os.environ['ASKED'].split()}}))"
    )
    theirs = dict.fromkeys(("GIT_DIR", "MLFLOW_REGISTRY_URI", "_MLFLOW_ACTIVE_MODEL_ID", "DVC_STUDIO_TOKEN"), "x")
    result = python(tmp_path, "-c", code, **theirs, ASKED=" ".join(theirs))
    assert result.stdout == "[]\n", result.stderr


def test_a_child_process_has_the_users_data_and_its_own_settings(monkeypatch):
    monkeypatch.setenv("CIFAR10_DATA", "/data")
    monkeypatch.setenv("MLFLOW_REGISTRY_URI", "x")
    monkeypatch.setenv("GIT_INDEX_FILE", "x")
    found = surroundings.variables()
    assert (found["CIFAR10_DATA"], found["KERAS_HOME"]) == ("/data", core.KERAS_HOME or os.devnull)
    assert found["MLFLOW_DISABLE_TELEMETRY"] == "true"
    assert not {"MLFLOW_REGISTRY_URI", "GIT_INDEX_FILE"} & found.keys()


@pytest.mark.fault(
    "a run is logged, and variables name another run, parent, model and experiment", chapter="surroundings"
)
@pytest.mark.usefixtures("store")
def test_no_variable_of_mlflows_says_which_run_is_written(tmp_path):
    names = ("RUN_ID", "ACTIVE_MODEL_ID", "EXPERIMENT_ID", "EXPERIMENT_NAME")
    variables = {f"MLFLOW_{name}": "7" for name in names} | {"MLFLOW_ENABLE_ASYNC_LOGGING": "true"}
    variables |= {"MLFLOW_RUN_CONTEXT": '{"mlflow.parentRunId": "7"}', "_MLFLOW_ACTIVE_MODEL_ID": "8"}
    variables["MLFLOW_TRACKING_URI"] = ""
    result = python(tmp_path, "-c", LOG, **variables)
    assert result.stdout == "1 True False\n", result.stderr


@pytest.mark.usefixtures("store")
def test_a_registry_of_its_own_is_named_in_a_line(monkeypatch, tmp_path, capsys, checked):
    word = "secret"
    monkeypatch.setenv("MLFLOW_REGISTRY_URI", f"postgresql://me:{word}@host/registry")
    with pytest.raises(UserError):  # the driver is not installed
        tracking.connect(checked)
    assert capsys.readouterr().err == "MLFLOW_REGISTRY_URI: versions are in postgresql://***@host/registry\n"


@pytest.mark.fault("Keras is told by keras.json and variables", chapter="surroundings")
@pytest.mark.parametrize(
    ("backend", "told"),
    [
        ("", {"backend": "torch", "floatx": "float64", "epsilon": 0.5, "image_data_format": "channels_first"}),
        # What Keras refuses:
        pytest.param("jax", {"floatx": "bfloat16", "epsilon": 1, "nnx_enabled": True}, marks=pytest.mark.slow),
        pytest.param("jax", ["no", "settings"], marks=pytest.mark.slow),
    ],
    ids=["others", "refused values", "damaged"],
)
def test_keras_computes_with_this_projects_settings(backend, told, tmp_path):
    (tmp_path / ".keras").mkdir()
    (tmp_path / ".keras/keras.json").write_text(json.dumps(told))
    variables = {"KERAS_MAX_EPOCHS": "1", "KERAS_MAX_STEPS_PER_EPOCH": "2", "KERAS_NNX_ENABLED": "1"}
    variables |= {"HOME": str(tmp_path), "KERAS_HOME": str(tmp_path / ".keras"), "JAX_ENABLE_X64": "1"}
    result = python(tmp_path, "-c", FIT, **variables, KERAS_BACKEND=backend)
    own = [backend or "tensorflow", "float32", 1e-7, "channels_last", False, 2, 16, "float32"]
    assert json.loads(result.stdout or "null") == own, result.stderr[-1000:]
    assert content(tmp_path / ".keras") == {"keras.json": json.dumps(told).encode()}


@pytest.mark.parametrize("given", ["/data/keras", ""])
def test_the_users_folder_of_keras_is_known_also_to_children(given, tmp_path):
    code = "import subprocess, sys; from pipeline import core; from tools import surroundings; print(core.KERAS_HOME)"
    same = "from pipeline import core; print(core.KERAS_HOME)"
    child = f"{code}; sys.stdout.flush(); subprocess.run([sys.executable, '-c', '{same}'],"
    result = python(tmp_path, "-c", f"{child} env=surroundings.variables())", KERAS_HOME=given)
    assert result.stdout.splitlines() == [given] * 2, result.stderr


@pytest.mark.fault("make, and variables of another Python, of pip and of a hook", chapter="surroundings")
def test_makes_programs_get_no_variables_of_another_python_or_repository(tmp_path):
    (tmp_path / "show.mk").write_text(f"include {ROOT}/Makefile\nshow:\n\t@env\n")
    told = ["PYTHONHOME", "PYTHONPATH", "PIP_REQUIRE_HASHES", "PIP_DRY_RUN", "PIP_PYTHON", "GIT_DIR", "GIT_INDEX_FILE"]
    kept = {"PIP_INDEX_URL": "x", "GIT_CONFIG_COUNT": "0", "CIFAR10_DATA": "x"}
    variables = {"PATH": PATH, "HOME": str(tmp_path)} | dict.fromkeys(told, "x") | kept
    command = ["make", "--no-print-directory", "-f", "show.mk", "show"]
    shown = subprocess.run(command, cwd=tmp_path, env=variables, check=True, capture_output=True, text=True).stdout
    given = {line.partition("=")[0] for line in shown.splitlines()}
    assert given & {*told} == set()
    assert kept.keys() <= given
