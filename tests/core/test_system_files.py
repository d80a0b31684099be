"""What systems, editors and synchronisers leave in folders is no part of anything."""

import shutil
import subprocess
from pathlib import Path

import pytest
from dvc.repo import Repo

from pipeline.core import files, params
from pipeline.lineage import model
from pipeline.serving import pictures
from pipeline.tracking import logged_models
from tests.conftest import ROOT

# Of macOS, Windows, Linux, network drives, synchronisers, editors.
LEFT = [".DS_Store", "._cat.jpg", "Icon\r", "__MACOSX", ".Trashes", ".Spotlight-V100", "Thumbs.db", "thumbs.db"]
LEFT += [
    "desktop.ini",
    "Desktop.ini",
    "$RECYCLE.BIN",
    "~$table.xlsx",
    "cat.jpg:Zone.Identifier",
    ".directory",
    "cat.jpg~",
]
LEFT += [".Trash-1000", ".nfs0000000000a1b2c300000001", ".fuse_hidden0000000100000002", "lost+found", "@eaDir"]
LEFT += ["#recycle", "@Recycle", ".@__thumb", ".dropbox.attr", ".stversions", ".syncthing.cat.jpg.tmp", ".~lock.a.ods#"]
LEFT += [".ipynb_checkpoints", ".cat.py.swp", ".#cat.py", "#cat.py#", "__pycache__", "cat.cpython-311.pyc"]
KEPT = [
    "cat.jpg",
    "model.keras",
    ".gitkeep",
    "_cat.jpg",
    "Icon",
    "Icons",
    "thumbs.dbf",
    "a~b",
    "#1.png",
    "trash",
    "10.swf",
]


def test_system_files_are_known_by_their_names():
    assert [name for name in LEFT if not files.is_system_file(name)] == []
    assert [name for name in KEPT if files.is_system_file(name)] == []


@pytest.mark.parametrize("name", [".dvcignore", ".gitignore"])
def test_dvc_and_git_have_the_same_list(name):
    lines = (ROOT / name).read_text().splitlines()
    begin = lines.index("# What systems, editors and Python leave: SYSTEM_FILES of pipeline/core/files.py") + 1
    assert tuple(lines[begin : begin + len(files.SYSTEM_FILES)]) == files.SYSTEM_FILES


def test_git_takes_the_list_as_it_is_meant(tmp_path):
    subprocess.run(["git", "init", "--quiet", tmp_path], check=True)
    shutil.copy(ROOT / ".gitignore", tmp_path)
    command = ["git", "check-ignore", "--no-index", "-z", "--stdin"]
    asked = "\0".join(LEFT + KEPT).encode()
    told = subprocess.run(command, cwd=tmp_path, input=asked, capture_output=True).stdout.decode()
    assert told.split("\0")[:-1] == LEFT


def scatter(folder: Path) -> None:
    """Put system files into a folder: empty files, and folders with a picture."""
    for name in LEFT[::2]:
        (folder / name).touch()
    for name in LEFT[1::2]:
        (folder / name).mkdir()
        (folder / name / "small.png").touch()


@pytest.mark.fault("system files of all kinds in tracked folders")
def test_dvc_runs_nothing_again_for_system_files(tmp_path, monkeypatch, record_property):
    monkeypatch.chdir(tmp_path)
    Repo.init(no_scm=True).close()
    shutil.copy(ROOT / ".dvcignore", tmp_path)
    Path("data").mkdir()
    Path("data/x").touch()
    stage = "{cmd: mkdir -p models/cnn && touch models/cnn/y, deps: [data], outs: [models/cnn]}"
    Path("dvc.yaml").write_text(f"stages: {{train: {stage}}}")
    with Repo() as repo:
        repo.reproduce()
    before = files.folder_checksum(Path("models"))
    scatter(Path("data"))
    scatter(Path("models/cnn"))
    with Repo() as repo:
        assert repo.status() == {}
        assert repo.reproduce() == []
    assert files.folder_checksum(Path("models")) == before
    Path("data/cat.jpg").touch()
    with Repo() as repo:
        assert [*repo.status()] == ["train"]
    record_property("seen", "nothing runs; a file that is none of these makes the stage run")


@pytest.mark.parametrize("name", ["x.pyc", "__pycache__/x.pyc", "data/__pycache__/x.py", "x.py~", ".#x.py"])
def test_of_what_a_logged_model_may_have_desktops_leave_no_code(name, tmp_path):
    for path in (logged_models.KERAS, ".DS_Store", "data/.DS_Store", "data/._model.keras", "Thumbs.db", "desktop.ini"):
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).touch()
    assert model.fault(tmp_path).startswith("its MLmodel is damaged")  # no file is one too many
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).touch()
    assert model.fault(tmp_path) == f"it has a file that MLflow did not log there: {name}"


def test_a_system_file_is_no_architecture(tmp_path, monkeypatch):
    for name in ("custom_cnn.py", "._custom_cnn.py", "__init__.py", ".#custom_cnn.py"):
        (tmp_path / name).touch()
    monkeypatch.setattr(params, "MODULES", tmp_path)
    assert params.architectures() == ["custom_cnn"]


def test_in_folders_of_pictures_they_are_left_out_and_what_is_named_is_read(tmp_path):
    scatter(tmp_path)
    (tmp_path / "cat.jpg").touch()
    assert list(pictures.walk([tmp_path])) == [(tmp_path / "cat.jpg", True)]
    checkpoints = tmp_path / "album" / ".ipynb_checkpoints"
    checkpoints.mkdir(parents=True)
    named = [checkpoints / "cat-checkpoint.jpg", tmp_path / "album" / "._cat.jpg"]
    for path in named:
        path.touch()
    assert list(pictures.walk([tmp_path / "album"])) == []
    assert (
        list(pictures.walk(named)) == list(pictures.walk([checkpoints, named[1]])) == [(path, True) for path in named]
    )
