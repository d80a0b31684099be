"""Clones, moves and environments: what is made here stays here, and a clone works whatever its git is set to."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from pipeline.core import files, paths
from pipeline.core.errors import UserError
from pipeline.stages import weights
from pipeline.tracking import attempts
from tests.conftest import ROOT
from tests.toy import PATH, committed, content, foreign, git, project
from tools import smoke, surroundings

INSTALLED = ".venv/.installed"
# A build backend whose package is the folder as it is; pip makes it without asking a registry.
BACKEND = """
import os, zipfile

def build_editable(folder, config_settings=None, metadata_directory=None):
    head = "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n"
    with zipfile.ZipFile(f"{folder}/toy-1-py3-none-any.whl", "w") as wheel:
        wheel.writestr("toy.pth", os.getcwd())
        wheel.writestr("toy-1.dist-info/METADATA", "Metadata-Version: 2.1\\nName: toy\\nVersion: 1\\n")
        wheel.writestr("toy-1.dist-info/WHEEL", head)
        wheel.writestr("toy-1.dist-info/entry_points.txt", "[console_scripts]\\npipeline = toy:main\\n")
        wheel.writestr("toy-1.dist-info/RECORD", "")
    return "toy-1-py3-none-any.whl"
"""
TOY = {
    "pyproject.toml": '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n',
    "requirements.lock": "",
    "backend.py": BACKEND,
    "toy.py": "def main():\n    print(__file__)\n",
}
STAGE = "stages: {seed: {cmd: date, params: [seed, profile]}}\n"


def make(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess:
    command = ["make", "--no-print-directory", f"PYTHON={sys.executable}", *arguments]
    return subprocess.run(command, cwd=folder, env=os.environ | environment, capture_output=True, text=True)


def environment(folder: Path) -> None:
    """An environment as make leaves it, without programs."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder / ".venv"], check=True)
    (folder / INSTALLED).touch()


@pytest.mark.fault("a project is renamed, and make asked for its environment", chapter="surroundings")
@pytest.mark.parametrize("name", ["renamed", "with a space", "it's [new] $HOME"])
def test_an_environment_that_was_moved_is_made_anew(name, tmp_path):
    own = project(tmp_path / "own", **TOY)
    environment(own)
    assert make(own, "--question", INSTALLED).returncode == 0
    moved = own.rename(tmp_path / name)
    assert make(moved, "--question", INSTALLED).returncode == 1
    shutil.rmtree(moved / ".venv")
    environment(moved)
    assert make(moved, "--question", INSTALLED).returncode == 0


@pytest.mark.fault("the Python of an environment is gone, and make asked for the environment", chapter="surroundings")
def test_an_environment_without_its_python_is_made_anew(tmp_path):
    own = project(tmp_path / "own", **TOY)
    environment(own)
    (own / ".venv/bin/python").unlink()
    (own / ".venv/bin/python").symlink_to(tmp_path / "uninstalled/python3")
    assert make(own, "--question", INSTALLED).returncode == 1


@pytest.mark.fault(".venv is a link to another clone's, and make asked for the environment", chapter="surroundings")
def test_an_environment_behind_a_link_is_left_alone(tmp_path):
    theirs, own = (project(tmp_path / name, **TOY) for name in ("theirs", "own"))
    environment(theirs)
    (own / ".venv").symlink_to(theirs / ".venv")
    before = content(theirs / ".venv")
    result = make(own, INSTALLED)
    assert result.returncode != 0
    assert result.stderr.startswith("error: .venv is a link to another environment, which is left as it is: remove the")
    assert content(theirs / ".venv") == before


def test_make_relocate_skips_a_store_that_is_not_there(tmp_path):
    own = project(tmp_path / "own", **TOY)
    environment(own)
    skipped = make(own, "relocate")
    assert (skipped.returncode, skipped.stdout, skipped.stderr) == (0, "", "")
    (own / "mlruns").mkdir()
    (own / "mlruns/mlflow.db").touch()
    assert "no store of this workflow" in make(own, "relocate").stderr


@pytest.mark.slow
@pytest.mark.fault("pip is told to install elsewhere, and the project is renamed", chapter="surroundings")
def test_make_installs_into_its_own_environment_and_again_after_a_move(tmp_path):
    own = project(tmp_path / "own", **TOY)
    (tmp_path / "pip.conf").write_text(f"[install]\nuser = true\ntarget = {tmp_path}/there\n")
    told = dict.fromkeys(("PIP_USER", "PIP_REQUIRE_HASHES", "PIP_DRY_RUN"), "1")
    told |= dict.fromkeys(("PIP_TARGET", "PIP_PREFIX", "PIP_ROOT", "PYTHONPATH"), f"{tmp_path}/there")
    told |= {"PIP_CONFIG_FILE": f"{tmp_path}/pip.conf", "HOME": str(tmp_path)}
    (tmp_path / "there").mkdir()
    (tmp_path / "there/toy.py").write_text("def main():\n    print('another')\n")
    before = content(tmp_path / "there")
    (own / "mlruns").mkdir()
    (own / "mlruns/mlflow.db").touch()
    for place in (own, tmp_path / "renamed"):
        if place != own:
            own.rename(place)
        result = make(place, "relocate", **told)
        assert result.returncode == 0, result.stderr
        assert result.stdout.splitlines()[-1] == f"{place}/toy.py"
    assert content(tmp_path / "there") == before


@pytest.mark.fault("a profile is used in a clone without symbolic links", chapter="surroundings")
def test_a_clone_without_links_composes_params_with_hydra(tmp_path):
    own = project(tmp_path / "own", **{"dvc.yaml": STAGE})
    git(tmp_path, "-c", "core.symlinks=false", "clone", "--quiet", str(own), str(tmp_path / "clone"))
    clone = tmp_path / "clone"
    (clone / "params.yaml").write_text((clone / "params.yaml").read_text().replace("rounds: 20", "rounds: 21"))
    command = [sys.executable, "-m", "dvc", "exp", "run", "-S", "profile=smoke", "-S", "seed=3"]
    variables = surroundings.variables() | {"PATH": PATH}
    result = subprocess.run(command, cwd=clone, env=variables, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    values = yaml.safe_load((clone / "params.yaml").read_text())
    assert values.keys() == yaml.safe_load((ROOT / "params.yaml").read_text()).keys()
    assert (values["profile"], values["seed"], values["ensemble"]["rounds"]) == ("smoke", 3, 21)
    before = content(clone)
    (clone / "below").mkdir()
    below = subprocess.run(command, cwd=clone / "below", env=variables, capture_output=True, text=True)
    assert "Could not load 'params'" in below.stderr
    assert {name: before[name] for name in ("params.yaml", "dvc.yaml")}.items() <= content(clone).items()


@pytest.mark.fault("a command of another clone's environment", chapter="surroundings")
def test_a_program_of_another_clone_is_refused(tmp_path, record_property):
    script = f"import sys; sys.path[:0] = [{str(ROOT)!r}]; from pipeline.__main__ import entry; entry()"
    command = [sys.executable, "-I", "-c", script, "mend"]
    (tmp_path / "pipeline").mkdir()
    code = tmp_path / "pipeline/__main__.py"
    code.touch()
    refused = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert (refused.returncode, refused.stdout) == (1, "")
    assert refused.stderr.startswith(f"error: this `pipeline` belongs to {ROOT}: activate this folder's environment")
    code.unlink()
    code.symlink_to(ROOT / "pipeline/__main__.py")
    assert "dvc.yaml not found" in subprocess.run(command, cwd=tmp_path, capture_output=True, text=True).stderr
    record_property("seen", refused.stderr)


def test_git_tracks_no_link():
    assert "\n120000 " not in "\n" + git(ROOT, "ls-files", "--stage")


@pytest.mark.fault("a clone by a git that writes other line ends", chapter="surroundings")
@pytest.mark.parametrize("setting", ["core.autocrlf=true", "core.eol=crlf"])
def test_every_text_file_of_a_clone_has_line_feeds(setting, tmp_path):
    own = project(tmp_path / "own", **{"code.py": "a = 1\n", "dvc.lock": "stages: {}\n"})
    (own / "picture.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    committed(own)
    clone = tmp_path / "clone"
    git(tmp_path, "-c", setting, "clone", "--quiet", "-c", setting, str(own), str(clone))
    tracked = git(own, "ls-files").splitlines()
    assert {name: content(clone)[name] for name in tracked} == {name: content(own)[name] for name in tracked}
    assert git(clone, "status", "--porcelain") == ""


def test_no_text_file_of_the_project_has_other_line_ends():
    listed = [line.split(None, 3) for line in git(ROOT, "ls-files", "--eol").splitlines()]
    assert {path for index, tree, _, path in listed if "crlf" in index + tree or "mixed" in index + tree} == set()


@pytest.fixture
def theirs(tmp_path, monkeypatch) -> Path:
    """Another's folder with a file; the current folder is beside it."""
    monkeypatch.chdir(project(tmp_path / "own"))
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs/file").write_text("theirs")
    return tmp_path / "theirs"


def link(path: Path, target: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(target)
    return path


@pytest.mark.fault("a stage is to empty a folder that is a link", chapter="surroundings")
@pytest.mark.parametrize("target", ["theirs", "theirs/file", "missing"])
def test_a_folder_that_is_emptied_is_no_longer_a_link(target, theirs):
    made = files.fresh_folder(link(Path("models/toy"), theirs.parent / target))
    assert (made.is_symlink(), list(made.iterdir())) == (False, [])
    assert content(theirs) == {"file": b"theirs"}


@pytest.mark.fault("weights and checkpoints of a stage lie in folders that are links", chapter="surroundings")
def test_stages_delete_no_files_behind_a_link(theirs, checked, monkeypatch):
    monkeypatch.setattr(attempts.provenance, "inputs", lambda stage: {})
    link(paths.WEIGHTS / "mobilenetv2", theirs)
    link(paths.CHECKPOINTS / "train@custom_cnn", theirs)
    weights.install("mobilenetv2", {"status": "skipped", "reason": "none"}, checked)
    with attempts.attempt("train@custom_cnn"):
        pass
    assert content(theirs) == {"file": b"theirs"}
    assert (paths.WEIGHTS / "mobilenetv2/manifest.json").is_file()


@pytest.mark.fault("smoke's workspace leads by a link to", chapter="surroundings")
@pytest.mark.parametrize("linked", [".smoke", ".smoke/conf", ".smoke/.git"])
def test_smoke_refuses_a_workspace_that_leads_elsewhere(linked, theirs):
    link(Path(linked), theirs)
    with pytest.raises(UserError, match=rf"^\{linked} leads to another place.*: remove "):
        smoke.make_workspace(Path(".smoke"))
    assert content(theirs) == {"file": b"theirs"}


@pytest.mark.fault("smoke's workspace is another repository's work tree", chapter="surroundings")
def test_smoke_commits_in_no_other_repositorys_work_tree(theirs):
    other = foreign(theirs.parent / "other")
    git(other, "worktree", "add", "--quiet", "-b", "taken", str(Path(".smoke").absolute()))
    before = content(other)
    with pytest.raises(UserError, match=r"^\.smoke/\.git leads to another place"):
        smoke.make_workspace(Path(".smoke"))
    assert content(other) == before


def test_code_of_an_earlier_smoke_run_behind_a_link_is_left_alone(theirs):
    link(Path(".smoke/pipeline"), theirs)
    smoke.make_workspace(Path(".smoke"))
    assert (Path(".smoke/pipeline").is_symlink(), list(Path(".smoke/pipeline").iterdir())) == (False, [])
    assert content(theirs) == {"file": b"theirs"}
