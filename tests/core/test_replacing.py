"""Files are replaced whole, where their names lead, with their mode and owner; what is no file is written to."""

import contextlib
import os
import shutil
import socket
import stat
import subprocess
import tempfile
import threading
from pathlib import Path

import pytest
from dvc.repo import Repo

from pipeline.core import files
from pipeline.core.errors import UserError
from tests.refusing import as_nobody

OLD, NEW = "what was there before", "what is written"


def write(path: Path) -> None:
    with files.replacing(path) as temporary:
        temporary.write_text(NEW)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def target(tmp_path) -> Path:
    """A file in a folder of its own, of an unusual mode, and of another user where this one may give it away."""
    path = tmp_path / "elsewhere" / "target.csv"
    path.parent.mkdir()
    path.write_text(OLD)
    with contextlib.suppress(PermissionError):
        os.chown(path, 1234, 2345)
    path.chmod(0o640)
    return path


LINKS = {
    "a link": lambda folder: (folder / "x.csv").symlink_to("elsewhere/target.csv"),
    "a link to a link": lambda folder: (
        (folder / "elsewhere/second.csv").symlink_to("target.csv"),
        (folder / "x.csv").symlink_to(folder / "elsewhere/second.csv"),
    ),
    "a link of another suffix": lambda folder: (
        (folder / "x.csv").symlink_to("elsewhere/results"),
        (folder / "elsewhere/results").symlink_to("target.csv"),
    ),
}


@pytest.mark.parametrize("kind", LINKS)
def test_a_link_stays_and_the_file_that_it_leads_to_is_replaced_with_its_mode_and_owner(kind, tmp_path, target):
    LINKS[kind](tmp_path)
    before = target.stat()
    links = {path: path.readlink() for path in tmp_path.rglob("*") if path.is_symlink()}
    write(tmp_path / "x.csv")
    after = target.stat()
    assert {path: path.readlink() for path in tmp_path.rglob("*") if path.is_symlink()} == links
    assert target.read_text() == (tmp_path / "x.csv").read_text() == NEW
    assert (after.st_mode, after.st_uid, after.st_gid) == (before.st_mode, before.st_uid, before.st_gid)
    assert not list(tmp_path.rglob(".partial-*"))


def test_a_link_to_a_file_that_is_not_there_yet_gets_it(tmp_path, target):
    target.unlink()
    (tmp_path / "x.csv").symlink_to(target)
    write(tmp_path / "x.csv")
    assert (tmp_path / "x.csv").is_symlink() and target.read_text() == NEW


def test_a_file_in_a_linked_folder_is_replaced_there(tmp_path, target):
    (tmp_path / "folder").symlink_to("elsewhere")
    write(tmp_path / "folder/target.csv")
    assert (tmp_path / "folder").is_symlink() and target.read_text() == NEW


def test_a_new_file_has_the_mode_that_the_user_gives_new_files(tmp_path):
    before = os.umask(0o027)
    try:
        write(tmp_path / "x.csv")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "x.csv").stat().st_mode) == 0o640


def test_another_name_of_the_file_keeps_the_old_content(tmp_path, target):
    (tmp_path / "hard.csv").hardlink_to(target)
    write(target)
    assert (target.read_text(), (tmp_path / "hard.csv").read_text()) == (NEW, OLD)


def test_a_long_name_leaves_room_for_the_temporary_one(tmp_path):
    name = "\N{CAT FACE}" * 62 + ".csv"  # 252 bytes; 255 are the most
    write(tmp_path / name)
    assert (tmp_path / name).read_text() == NEW


@pytest.mark.fault("while a file is written:")
@pytest.mark.parametrize("linked", [False, True], ids=["an error", "an error, through a link"])
def test_what_fails_changes_nothing(linked, tmp_path, target, record_property):
    (tmp_path / "x.csv").symlink_to(target)
    with pytest.raises(ZeroDivisionError), files.replacing(tmp_path / "x.csv" if linked else target) as temporary:
        temporary.write_text("half of it")
        raise ZeroDivisionError
    assert target.read_text() == OLD and stat.S_IMODE(target.stat().st_mode) == 0o640
    assert not list(tmp_path.rglob(".partial-*"))
    record_property("seen", "the old content, nothing beside it")


def test_a_pipe_gets_the_content_and_stays(tmp_path):
    os.mkfifo(tmp_path / "x.csv")
    read: list[str] = []
    reader = threading.Thread(target=lambda: read.append((tmp_path / "x.csv").read_text()))
    reader.start()
    write(tmp_path / "x.csv")
    reader.join(30)
    assert read == [NEW]
    assert stat.S_ISFIFO((tmp_path / "x.csv").stat().st_mode)
    assert names(tmp_path) == ["x.csv"]


@pytest.mark.parametrize("linked", [False, True], ids=["node", "link"])
def test_a_device_gets_the_content_and_stays(linked, tmp_path):
    path = tmp_path / "x.csv"
    if linked:
        path.symlink_to("/dev/null")
    else:
        try:
            os.mknod(path, stat.S_IFCHR | 0o666, os.makedev(1, 3))
        except PermissionError:
            pytest.skip("this user may not make devices")
    write(path)
    assert stat.S_ISCHR(path.stat().st_mode) and path.is_symlink() == linked


@pytest.mark.parametrize("form", ["/dev/fd/{}", "/proc/self/fd/{}", "a link"])
def test_a_descriptor_gets_the_content_where_it_stands_and_its_file_stays(form, tmp_path):
    path = tmp_path / "log"
    with path.open("w") as log:
        log.write("before, ")
        log.flush()
        inode = path.stat().st_ino
        (tmp_path / "x.csv").symlink_to(f"/dev/fd/{log.fileno()}")
        write(tmp_path / "x.csv" if form == "a link" else Path(form.format(log.fileno())))
        log.write(", after")
    assert path.read_text() == f"before, {NEW}, after" and path.stat().st_ino == inode
    assert names(tmp_path) == ["log", "x.csv"]


def test_a_descriptor_that_is_read_is_not_written_to(target):
    with target.open() as file, pytest.raises(UserError, match="is open for reading only: name another file"):
        write(Path(f"/dev/fd/{file.fileno()}"))
    assert target.read_text() == OLD


def test_a_link_at_the_temporary_name_leads_nowhere(tmp_path, target):
    (tmp_path / ".partial-x.csv").symlink_to(target)
    write(tmp_path / "x.csv")
    assert (target.read_text(), (tmp_path / "x.csv").read_text()) == (OLD, NEW)
    assert not (tmp_path / "x.csv").is_symlink() and names(tmp_path) == ["elsewhere", "x.csv"]


def test_a_file_that_is_mounted_by_itself_gets_the_content(tmp_path, target):
    """As a container gets single files."""
    (tmp_path / "x.csv").touch()
    if shutil.which("mount") is None or subprocess.run(["mount", "--bind", target, tmp_path / "x.csv"]).returncode:
        pytest.skip("this user may not mount")
    try:
        write(tmp_path / "x.csv")
        assert (tmp_path / "x.csv").read_text() == NEW
    finally:
        subprocess.run(["umount", tmp_path / "x.csv"], check=True)
    assert target.read_text() == NEW


def test_a_file_in_a_folder_that_takes_none_gets_the_content():
    with tempfile.TemporaryDirectory() as temporary:  # pytest's own folders are closed to others
        path = Path(temporary) / "x.csv"
        path.write_text(OLD)
        path.chmod(0o666)
        path.parent.chmod(0o555)
        with as_nobody():
            write(path)
        assert path.read_text() == NEW
        path.parent.chmod(0o700)


def bound(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(os.path.relpath(path))  # 108 bytes are the most


NOWHERE = {
    "a link to itself": (lambda path: path.symlink_to(path.name), "too many levels of symbolic links"),
    "a folder": (lambda path: path.mkdir(), "is a folder: take it away, or name another file"),
    "a link to a folder": (lambda path: path.symlink_to("elsewhere"), "is a folder"),
    "a link into a folder that is missing": (lambda path: path.symlink_to("gone/x"), "make the folder .*/gone"),
    "a socket": (bound, "is a socket: take it away"),
}


@pytest.mark.fault("in place of a file that is written:")
@pytest.mark.parametrize("kind", NOWHERE)
def test_what_cannot_be_written_is_one_line(kind, tmp_path, target, record_property):
    make, expected = NOWHERE[kind]
    make(tmp_path / "x.csv")
    with pytest.raises(UserError, match=expected) as caught:
        write(tmp_path / "x.csv")
    record_property("seen", str(caught.value).replace(f"{tmp_path}/", ""))
    assert names(tmp_path) == ["elsewhere", "x.csv"]
    assert names(target.parent) == ["target.csv"]


def test_a_file_where_a_folder_is_needed_is_one_line(tmp_path):
    (tmp_path / "x").touch()
    with pytest.raises(UserError, match="not a directory"):
        write(tmp_path / "x" / "y.csv")


def test_a_link_into_dvcs_cache_is_replaced_and_the_cache_left_alone(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("x.csv").write_text(OLD)
    with Repo.init(no_scm=True) as repo, repo.config.edit() as config:
        config["cache"]["type"] = ["symlink"]
    with Repo() as repo:
        repo.add(["x.csv"])
    kept = Path("x.csv").resolve()
    assert Path("x.csv").is_symlink() and kept.is_relative_to(tmp_path / ".dvc/cache")
    write(Path("x.csv"))
    assert not Path("x.csv").is_symlink() and Path("x.csv").read_text() == NEW
    assert kept.read_text() == OLD
