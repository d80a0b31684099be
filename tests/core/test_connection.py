"""Why a request fails is said with what helps: by variable, without a password, and not as one cause for all."""

import pytest
import requests

from pipeline.core import connection
from pipeline.core.errors import UserError
from tests import tls
from tests.misbehaving import cut, elsewhere, serving, silent, status

pytestmark = pytest.mark.usefixtures("direct")
WORD = "secret"
DEAD = "127.0.0.1:9"


def failure(url: str, **options) -> Exception:
    """The error of a request."""
    try:
        requests.get(url, timeout=1, **options).raise_for_status()
    except Exception as error:  # of whatever class
        return error
    pytest.fail("the request succeeded")


REASONS = {
    "a dead proxy": (
        {"HTTPS_PROXY": f"http://me:{WORD}@{DEAD}"},
        "https://cifar.example/x",
        "the proxy in HTTPS_PROXY: the connection is refused: correct or unset HTTPS_PROXY, or add",
    ),
    "a dead proxy, named in small letters": (
        {"http_proxy": f"http://me:{WORD}@{DEAD}"},
        "http://cifar.example/x",
        "the proxy in http_proxy: the connection is refused: correct or unset http_proxy",
    ),
    "a proxy whose name does not resolve": (
        {"ALL_PROXY": f"http://me:{WORD}@no-such-host.invalid:3128"},
        "https://cifar.example/x",
        "the proxy in ALL_PROXY: the host's name does not resolve: correct or unset ALL_PROXY",
    ),
    "a SOCKS proxy without its package": (
        {"ALL_PROXY": f"socks5://me:{WORD}@{DEAD}"},
        "http://cifar.example/x",
        "the SOCKS proxy in ALL_PROXY needs a package: `pip install 'requests[socks]'`",
    ),
    "a proxy of another kind": (
        {"HTTP_PROXY": f"ftp://me:{WORD}@{DEAD}"},
        "http://cifar.example/x",
        "no proxy is named in HTTP_PROXY: write http://HOST:PORT",
    ),
    "a proxy without a host": ({"HTTP_PROXY": "http://"}, "http://cifar.example/x", "no proxy is named in HTTP_PROXY"),
    "certificates in a file that is not there": (
        {"REQUESTS_CA_BUNDLE": "/no/such.pem", "PIP_CERT": "/other.pem"},
        "https://127.0.0.1:9/x",
        "no file with certificates is named in REQUESTS_CA_BUNDLE: name a PEM file there, or unset it",
    ),
    "a name that does not resolve": ({}, "https://no-such-host.invalid/x", "the host's name does not resolve: "),
    "a port at which nobody listens": ({}, f"http://{DEAD}/x", "the connection is refused: nothing listens there"),
    "no address": ({}, "http:///x", "that is no address"),
    "no address either": ({}, "http://a..b/x", "that is no address"),  # an error of urllib3, not of requests
}


@pytest.mark.fault("a request with")
@pytest.mark.parametrize("kind", REASONS)
def test_the_cause_and_the_remedy_are_said_without_a_password(kind, monkeypatch, record_property):
    variables, url, told = REASONS[kind]
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    reason = connection.reason(failure(url))
    assert reason.startswith(told)
    assert WORD not in reason
    record_property("seen", reason)


@pytest.mark.parametrize(
    ("days", "host", "told"),
    [
        (2, "127.0.0.1", "the server's certificate is self-signed, or signed by an authority that"),
        (9, "127.0.0.1", "the server's certificate is not valid today: look whether this machine's clock"),
        (-2, "127.0.0.1", "the server's certificate is not valid today: look whether this machine's clock"),
        (2, "127.0.0.2", "the server's certificate is another host's"),
    ],
)
def test_what_is_wrong_with_a_certificate_is_told_apart(days, host, told, tmp_path, monkeypatch):
    pem = tls.certificate(tmp_path, days, host)
    if "self-signed" not in told:
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(pem))
    with tls.serving(pem) as url:
        reason = connection.reason(failure(url))
    assert reason.startswith(told)


def test_the_remedy_for_an_unknown_authority_helps(tmp_path, monkeypatch):
    pem = tls.certificate(tmp_path)
    with tls.serving(pem) as url:
        assert "REQUESTS_CA_BUNDLE" in connection.reason(failure(url))
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(pem))
        assert connection.reason(failure(url)).startswith("the connection broke off")  # after the handshake


@pytest.mark.parametrize("content", ["no certificate", "-----BEGIN CERTIFICATE-----\nMIIB\n"])
def test_certificates_in_a_file_without_any_are_told_from_an_unknown_authority(content, tmp_path, monkeypatch):
    (tmp_path / "bundle.pem").write_text(content)
    monkeypatch.setenv("CURL_CA_BUNDLE", str(tmp_path / "bundle.pem"))
    with tls.serving(tls.certificate(tmp_path)) as url:
        assert connection.reason(failure(url)).startswith("no file with certificates is named in CURL_CA_BUNDLE")


@pytest.mark.parametrize(
    ("code", "scheme", "told"),
    [
        (407, "http", "the proxy in HTTP_PROXY asks for a name and a password: write NAME:PASSWORD@ before its host"),
        (407, "https", "the proxy in HTTPS_PROXY asks for a name and a password"),
        (403, "https", "the proxy in HTTPS_PROXY refuses (403 Forbidden): add the server to NO_PROXY"),
    ],
)
def test_what_a_proxy_answers_is_said(code, scheme, told, monkeypatch):
    with serving(status(code)) as (url, _):
        monkeypatch.setenv(f"{scheme.upper()}_PROXY", url.removesuffix("/file.bin"))
        reason = connection.reason(failure(f"{scheme}://cifar.example/x"))
    assert reason.startswith(told)


def test_a_server_that_speaks_no_tls_is_told_from_a_wrong_certificate():
    with serving(status(200)) as (url, _):
        assert connection.reason(failure(url.replace("http:", "https:"))).startswith("no TLS is spoken at this address")


def test_what_may_pass_is_told_from_what_does_not():
    with serving(elsewhere) as (circle, _), serving(cut) as (broken, _), serving(silent) as (mute, _):
        failures = [failure(url) for url in (f"http://{DEAD}", circle, broken, mute, "http:///x")]
    told = {
        connection.reason(error).partition(":")[0]: connection.may_pass(error) for error in [*failures, OSError("x")]
    }
    assert told == {
        "the connection is refused": True,
        "redirects in a circle": False,
        "the connection broke off": True,
        "no answer in time": True,
        "that is no address": False,
        "OSError": True,
    }


def test_a_cause_that_is_not_known_is_quoted_in_one_short_line_without_a_password():
    reason = connection.reason(ValueError(f"first\nsecond of http://me:{WORD}@host/\x1b[31m" + "x" * 1000))
    assert reason.startswith("ValueError: first second of http://***@host/ [31mx")
    assert len(reason) == connection.LONGEST
    assert str(UserError(reason)) == reason


def test_of_the_output_of_a_program_only_a_known_cause_is_taken():
    assert connection.reason_in_output("npm error code DEPTH_ZERO_SELF_SIGNED_CERT\n").endswith(
        "(for npm in NODE_EXTRA_CA_CERTS)"
    )
    assert connection.reason_in_output("npm error code E404\nnpm error 404 Not Found\n") == ""


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (f"http://me:{WORD}@{DEAD}/", "the proxy in HTTPS_PROXY: the connection is refused"),
        (DEAD, "the proxy in HTTPS_PROXY: the connection is refused"),
        ("http://1", "the connection is refused"),
        ("/", "the connection is refused"),
    ],
)
def test_a_proxy_is_known_in_an_output_by_host_and_port(value, told, monkeypatch):
    monkeypatch.setenv("HTTPS_PROXY", value)
    assert connection.reason_in_output(f"npm error connect ECONNREFUSED {DEAD}").startswith(told)


def test_a_proxy_that_no_variable_names_is_one_of_the_settings():
    error = failure("http://cifar.example/", proxies={"http": f"http://{DEAD}"})
    assert connection.reason(error).startswith("the proxy in the settings: the connection is refused")
