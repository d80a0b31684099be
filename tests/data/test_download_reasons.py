"""Why a file was not downloaded is said: the server, the network, a proxy, a certificate, or the disk."""

import errno
import socket
import time

import pytest

from pipeline.core.errors import UserError
from pipeline.data.download import Unreachable, fetch
from tests import tls
from tests.misbehaving import HTTP, SHA256, part, sending, silent, whole

WORD = "secret"


@pytest.mark.fault("a server that says nothing")
def test_a_silent_server_is_given_up_within_the_read_timeout(serve, destination):
    url, _ = serve(silent)
    impatient = HTTP.model_copy(update={"read_timeout": 0.2, "retries": 0})
    began = time.perf_counter()
    with pytest.raises(Unreachable, match="no answer in time"):
        fetch(url, destination, "sha256", SHA256, impatient)
    assert 0.2 <= time.perf_counter() - began < 2


def test_a_refused_connection_is_unreachable(destination):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # never listens
        url = f"http://127.0.0.1:{closed.getsockname()[1]}/file.bin"
        with pytest.raises(Unreachable, match="the connection is refused"):
            fetch(url, destination, "sha256", SHA256, HTTP)


@pytest.mark.fault("a dead proxy")
def test_the_proxy_that_fails_is_named_by_its_variable_without_its_password(
    destination, monkeypatch, capsys, record_property
):
    for name in ("no_proxy", "NO_PROXY", "https_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HTTPS_PROXY", f"http://me:{WORD}@127.0.0.1:9")
    with pytest.raises(Unreachable) as caught:
        fetch(f"https://me:{WORD}@cifar.example/file.bin", destination, "sha256", SHA256, HTTP)
    reason = "https://***@cifar.example/file.bin: the proxy in HTTPS_PROXY: the connection is refused"
    assert str(caught.value).startswith(reason)
    tried = capsys.readouterr().out.splitlines()
    assert len(tried) == HTTP.retries
    assert all(line.startswith(reason) and "; trying again in 0.0" in line for line in tried)
    record_property("seen", str(caught.value))


@pytest.mark.fault("certificates in a file that is not there")
def test_certificates_that_are_not_there_are_no_traceback_and_not_tried_again(destination, monkeypatch, capsys):
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/no/such.pem")
    with pytest.raises(Unreachable, match="no file with certificates is named in REQUESTS_CA_BUNDLE"):
        fetch("https://127.0.0.1:9/file.bin", destination, "sha256", SHA256, HTTP)
    assert capsys.readouterr().out == ""


@pytest.mark.fault("a self-signed certificate")
def test_a_certificate_that_nobody_signed_is_said_and_not_tried_again(destination, monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with tls.serving(tls.certificate(tmp_path)) as url, pytest.raises(Unreachable, match="certificate is self-signed"):
        fetch(f"{url}/file.bin", destination, "sha256", SHA256, HTTP)
    assert capsys.readouterr().out == ""


@pytest.mark.fault("a disk that fills up")
def test_what_the_disk_refuses_is_not_the_servers_fault(serve, destination):
    destination.parent.mkdir()
    part(destination).symlink_to("/dev/full")
    url, ranges = serve(whole)
    with pytest.raises(OSError, match="No space left") as caught:
        fetch(url, destination, "sha256", SHA256, HTTP)
    assert caught.value.errno == errno.ENOSPC
    assert len(ranges) == 1


def test_a_web_page_in_place_of_the_file_is_told_as_such(serve, destination):
    url, _ = serve(sending(b"\n<!DOCTYPE html><title>Log in to the hotel's network</title>"))
    with pytest.raises(UserError, match=r"expected \w+ \(it is a web page: perhaps the network asks for a login\)"):
        fetch(url, destination, "sha256", SHA256, HTTP)
