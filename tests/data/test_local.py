"""What people have of CIFAR-10 is read as it lies there: archives and folders, binary or pickled, and folders above."""

import os
import shutil
import tarfile
from pathlib import Path

import pytest

from drills import files
from pipeline import core
from pipeline.core.errors import UserError
from pipeline.core.schema import LocalSource
from pipeline.data import cifar10, local, sources
from tests import python_version
from tests.data.test_sources import assert_complete


@pytest.fixture(autouse=True)
def workplace(bare, tmp_path, monkeypatch):
    """An empty working folder."""
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")


@pytest.fixture(scope="module")
def places(raw, tmp_path_factory):
    """What Keras, torchvision and a user by hand leave: hard links of the same files, and taken away at the end."""
    folder = tmp_path_factory.mktemp("places")
    pickles = python_version.write(raw, folder / "torchvision/root")
    python_version.archive(pickles, folder / "torchvision/root/cifar-10-python.tar.gz")
    datasets = folder / "keras/datasets"
    python_version.link(pickles, datasets / "cifar-10-batches-py-target/cifar-10-batches-py")
    os.link(folder / "torchvision/root/cifar-10-python.tar.gz", datasets / "cifar-10-batches-py-target_archive")
    python_version.link(pickles, folder / "older/datasets/cifar-10-batches-py")
    os.link(folder / "torchvision/root/cifar-10-python.tar.gz", folder / "older/datasets/cifar-10-batches-py.tar.gz")
    (folder / "binary").mkdir()
    (folder / "binary/cifar-10-batches-bin").symlink_to(raw)
    yield folder
    shutil.rmtree(folder)


def given(place: Path, monkeypatch) -> None:
    monkeypatch.setenv(sources.ENVIRONMENT, str(place))


def tried(place: Path) -> list[str]:
    """The forms that are found, by their places below this one, in the order in which they are tried."""
    return [str(path.relative_to(place)) for path, _ in local.find(place)]


PICKLES, ARCHIVE = "cifar-10-batches-py", "cifar-10-python.tar.gz"
TARGET = "cifar-10-batches-py-target"
FORMS = {
    "torchvision/root/cifar-10-batches-py": ["."],
    "torchvision/root/cifar-10-python.tar.gz": ["."],
    "torchvision/root": [ARCHIVE, PICKLES],
    "torchvision": [f"root/{ARCHIVE}", f"root/{PICKLES}"],
    "keras/datasets/cifar-10-batches-py-target": [PICKLES],
    "keras/datasets": [f"{TARGET}_archive", f"{TARGET}/{PICKLES}"],
    "keras": [f"datasets/{TARGET}_archive", f"datasets/{TARGET}/{PICKLES}"],
    "older/datasets": ["cifar-10-batches-py.tar.gz", PICKLES],
    "binary": ["cifar-10-batches-bin"],
}


@pytest.mark.parametrize("place", FORMS)
def test_each_form_is_found_and_so_is_it_below_a_folder(place, places):
    assert tried(places / place) == FORMS[place]


READ = ["torchvision/root/cifar-10-python.tar.gz", "torchvision/root/cifar-10-batches-py", "binary"]


@pytest.mark.parametrize("place", READ)
def test_each_form_gives_the_official_batches(place, places, target, checked, monkeypatch, capsys):
    given(places / place, monkeypatch)
    sources.obtain([], target, checked.http)
    assert_complete(target)
    assert capsys.readouterr().out.startswith(f"local {places / place}")
    assert (places / READ[0]).is_file(), "the user's archive was taken away"


def test_a_broken_form_lets_the_next_be_read(places, target, checked, tmp_path, monkeypatch, capsys):
    python_version.link(places / "torchvision/root/cifar-10-batches-py", tmp_path / f"given/{PICKLES}")
    (tmp_path / "given" / ARCHIVE).write_bytes(b"half of an archive")
    given(tmp_path / "given", monkeypatch)
    assert sources.obtain([], target, checked.http) == f"local {tmp_path / 'given' / PICKLES}"
    failed, used = capsys.readouterr().out.splitlines()
    assert failed == f"local {tmp_path / 'given' / ARCHIVE}: failed: " + (
        "is no sound tar archive: file could not be opened successfully"
    )
    assert used.endswith("six official batches")


@pytest.fixture
def tampered(places, tmp_path):
    """A folder of pickles, the first of which would make a file; and that file."""
    folder, canary = tmp_path / "given" / PICKLES, tmp_path / "canary"
    python_version.link(places / "torchvision/root/cifar-10-batches-py", folder)
    (folder / "data_batch_1").unlink()
    files.malicious_pickle(folder / "data_batch_1", canary)
    return folder, canary


@pytest.mark.fault("a pickle that would run code, in")
@pytest.mark.parametrize("form", ["a folder", "an archive", "Keras' folder", "a folder above"])
def test_a_tampered_pickle_runs_nothing_in_whatever_form(
    form, tampered, tmp_path, target, checked, monkeypatch, record_property
):
    folder, canary = tampered
    place = {"a folder": folder, "a folder above": tmp_path / "given"}.get(form)
    if form == "an archive":
        place = python_version.archive(folder, tmp_path / ARCHIVE)
    if form == "Keras' folder":
        place = tmp_path / "datasets"
        python_version.link(folder, place / TARGET / PICKLES)
        python_version.archive(folder, place / f"{TARGET}_archive")
    given(place, monkeypatch)
    with pytest.raises(UserError) as caught:
        sources.obtain([], target, checked.http)
    assert not canary.exists() and not target.exists()
    assert "data_batch_1 is no batch of CIFAR-10's Python version: its pickle names " in str(caught.value)
    record_property("seen", str(caught.value).replace(str(tmp_path), ""))


def test_other_labels_than_the_official_ones_are_refused(raw, places, target, checked, tmp_path, monkeypatch):
    folder = python_version.link(places / "torchvision/root/cifar-10-batches-py", tmp_path / PICKLES)
    planes, labels = python_version.batch(raw / "data_batch_3.bin")
    (folder / "data_batch_3").unlink()
    (folder / "data_batch_3").write_bytes(python_version.pickled(planes, labels[::-1]))
    given(tmp_path, monkeypatch)
    with pytest.raises(UserError, match=r"its data_batch_3\.bin is corrupted or truncated: .*; mend it"):
        sources.obtain([], target, checked.http)


def empty(folder: Path) -> Path:
    folder.mkdir()
    return folder


def cifar_100(folder: Path) -> Path:
    with tarfile.open(folder.with_suffix(".tar.gz"), "w:gz") as tar:
        for name in ("train", "test", "meta"):
            tar.addfile(tarfile.TarInfo(f"cifar-100-python/{name}"))
    return folder.with_suffix(".tar.gz")


def page(folder: Path) -> Path:
    folder.write_text("<!DOCTYPE html>\n<title>Log in</title>")
    return folder


def too_deep(folder: Path) -> Path:
    (folder / "a/b/c/d").mkdir(parents=True)
    (folder / "a/b/c/d/data_batch_1.bin").touch()
    return folder


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (empty, r"has no CIFAR-10, nor have the folders in it \(3 deep\): looked for data_batch_1.bin, data_batch_1, "),
        (too_deep, r"has no CIFAR-10, nor have the folders in it"),
        (cifar_100, "has no CIFAR-10, but train, test, meta"),
        (page, "is no sound tar archive"),
    ],
)
def test_a_place_without_the_data_set_is_told_what_was_looked_for(
    make, told, target, checked, tmp_path, monkeypatch, record_property
):
    given(make(tmp_path / "given"), monkeypatch)
    with pytest.raises(UserError, match=f"CIFAR10_DATA gives no CIFAR-10: local .*: {told}.*; mend it, or unset"):
        sources.obtain([], target, checked.http)


def test_the_search_is_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr(local, "ENTRIES", 100)
    for number in range(20):
        (tmp_path / f"many/{number:02}/x").mkdir(parents=True)
        (tmp_path / f"many/{number:02}/x/test_batch").touch()
    (tmp_path / "many/02/loop").symlink_to(tmp_path / "many")
    assert 0 < len(local.find(tmp_path)) <= 100
    monkeypatch.setattr(local, "ENTRIES", 10)
    assert local.find(tmp_path) == []


USUAL = {  # below the home folder, the working one, or KERAS_HOME
    "home/.keras/datasets": ("keras/datasets", f"{TARGET}/{PICKLES}"),
    "home/data": ("torchvision", f"root/{PICKLES}"),
    "work/data": ("torchvision/root", PICKLES),
    "other-keras/datasets": ("older/datasets", PICKLES),
}


@pytest.mark.parametrize("place", USUAL)
def test_usual_places_are_looked_at_without_being_told(place, places, tmp_path, monkeypatch):
    assert local.find_usual() == []
    monkeypatch.setattr(core, "KERAS_HOME", str(tmp_path / "other-keras"))
    given_by, found = USUAL[place]
    (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / place).symlink_to(places / given_by)
    assert tmp_path / place / found in local.find_usual()


def test_what_the_workflow_itself_left_in_data_is_no_source(tmp_path):
    for path in ("data/raw/data_batch_1.bin", "data/downloads/cifar-10-binary.tar.gz", "data/x/train.parquet"):
        Path(path).parent.mkdir(parents=True)
        Path(path).touch()
    assert local.find_usual() == []


def test_the_stage_downloads_nothing_if_keras_has_the_data(places, tmp_path, run_stage):
    (tmp_path / "home").mkdir()
    (tmp_path / "home/.keras").symlink_to(places / "keras")
    finished = run_stage("download", HOME=str(tmp_path / "home"), CIFAR10_DATA="", KERAS_HOME="", CIFAR10_OFFLINE="1")
    try:
        assert finished.returncode == 0, finished.stderr
        found = f"local {tmp_path}/home/.keras/datasets/{TARGET}_archive: six official batches"
        assert finished.stdout.splitlines() == [found]
        cifar10.verify(tmp_path / "data/raw", cifar10.BATCHES)
    finally:
        shutil.rmtree(tmp_path / "data", ignore_errors=True)


def test_a_place_may_begin_with_the_home_folder(tmp_path, checked):
    (tmp_path / "home/mine").mkdir(parents=True)
    (tmp_path / "home/mine/data_batch_2").touch()
    attempts = sources.attempts([LocalSource(type="local", path="~/mine")], checked.http)
    assert [name for name, _ in attempts] == ["local ~/mine"]
