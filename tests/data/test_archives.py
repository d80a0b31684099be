"""An archive is read without being unpacked: what is not one of its six batches is never written."""

import io
import tarfile
from pathlib import Path

import numpy as np
import pytest

from pipeline.core.errors import UserError
from pipeline.data import archive as archives
from pipeline.data import cifar10, sources
from tests.data.test_sources import assert_complete, local


@pytest.fixture(autouse=True)
def workplace(bare, tmp_path, monkeypatch):
    """An empty working folder."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def archive(raw, tmp_path_factory):
    """An archive laid out as the official one."""
    path = tmp_path_factory.mktemp("archive") / "cifar-10-binary.tar.gz"
    with tarfile.open(path, "w:gz", compresslevel=0) as tar:
        add(tar, "cifar-10-batches-bin/batches.meta.txt", "\n".join(cifar10.CLASSES).encode())
        for name in cifar10.BATCHES:
            tar.add(raw / name, f"cifar-10-batches-bin/{name}")
    yield path
    path.unlink()


def add(tar: tarfile.TarFile, name: str, content: bytes = b"", **attributes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    for attribute, value in attributes.items():
        setattr(member, attribute, value)
    tar.addfile(member, io.BytesIO(content))


def test_a_local_archive_gives_six_verified_batches(archive, target, checked):
    sources.obtain([local(archive)], target, checked.http)
    assert_complete(target)
    assert archive.exists(), "the user's archive was taken away"


WRONG_ARCHIVES = {
    "a parent folder's name": lambda tar: add(tar, "../escaped.bin", b"x"),
    "an absolute name": lambda tar: add(tar, str(Path.cwd() / "escaped.bin"), b"x"),
    "a parent folder's name and a batch's": lambda tar: add(tar, "../data_batch_1.bin", bytes(10_000 * 3073)),
    "symbolic links": lambda tar: [
        add(tar, name, type=tarfile.SYMTYPE, linkname=f"../../{name}") for name in cifar10.BATCHES
    ],
    "hard links": lambda tar: [add(tar, name, type=tarfile.LNKTYPE, linkname="../x") for name in cifar10.BATCHES],
    "wrong sizes": lambda tar: [add(tar, name, b"short") for name in cifar10.BATCHES],
}


@pytest.mark.fault("an archive with")
@pytest.mark.parametrize("kind", WRONG_ARCHIVES)
def test_a_wrong_archive_is_refused_and_writes_nothing_anywhere(kind, tmp_path, checked):
    archive, target = tmp_path / "in/wrong.tar.gz", tmp_path / "deep/data/raw"
    archive.parent.mkdir()
    target.parent.mkdir(parents=True)
    with tarfile.open(archive, "w:gz", compresslevel=1) as tar:
        WRONG_ARCHIVES[kind](tar)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(UserError):
        sources.obtain([local(archive)], target, checked.http)
    assert sorted(tmp_path.rglob("*")) == before


class Zeros(io.RawIOBase):
    """So many bytes that no disk and no memory holds."""

    def read(self, size: int = -1) -> bytes:
        return bytes(size)


@pytest.mark.fault("an archive that is a bomb")
@pytest.mark.parametrize("name", ["cifar-10-batches-bin/readme.html", "data_batch_1.bin"])
def test_an_archive_that_unpacks_to_too_much_is_refused_before_it_does(name, tmp_path, target, checked, capsys):
    bomb = tmp_path / "bomb.tar.gz"
    with tarfile.open(bomb, "w:gz", compresslevel=1) as tar:
        member = tarfile.TarInfo(name)
        member.size = archives.UNPACKED
        tar.addfile(member, Zeros())
    assert bomb.stat().st_size < 10_000_000
    with pytest.raises(UserError, match="unpacks to more than 400 MB"):
        sources.obtain([local(bomb)], target, checked.http)
    assert not target.exists()


def truncated(content: bytearray) -> bytes:
    return bytes(content[: len(content) // 2])


def damaged(content: bytearray) -> bytes:
    content[1_000_000:1_100_000] = np.random.default_rng(0).bytes(100_000)
    return bytes(content)


def not_an_archive(content: bytearray) -> bytes:
    return bytes(1000)


@pytest.mark.parametrize("harm", [truncated, damaged, not_an_archive])
def test_a_broken_archive_counts_as_a_source_that_failed(harm, archive, tmp_path, target, checked, capsys):
    broken = tmp_path / "broken.tar.gz"
    with archive.open("rb") as file:
        broken.write_bytes(harm(bytearray(file.read(8_000_000))))
    with pytest.raises(UserError):
        sources.obtain([local(broken)], target, checked.http)
    assert f"local {broken}: failed: " in capsys.readouterr().out
    assert not target.exists()
