"""Why a request failed and what helps, in one line: requests, pip, npm and MLflow hide it in long texts."""

import os
import re
from typing import NamedTuple

from pipeline.core.errors import one_line

PROXIES = ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY")  # in small letters, too
BUNDLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "PIP_CERT")  # files with certificates
LONGEST = 300  # characters of a text that is not known


class Cause(NamedTuple):
    pattern: str  # in the texts of requests, urllib3, OpenSSL, pip and npm
    words: str  # {proxy} and {bundle}: variables that are set
    remedy: str
    passing: bool = False  # another try may succeed


PROXY = r"ProxyError|connect to proxy"  # the connection to the proxy failed; the text goes on with why
CAUSES = (  # the first that is found
    Cause("SOCKS support", "the SOCKS proxy in {proxy} needs a package", "`pip install 'requests[socks]'`"),
    Cause(
        "407 (Client Error: )?Proxy Auth",
        "the proxy in {proxy} asks for a name and a password",
        "write NAME:PASSWORD@ before its host there",
    ),
    Cause(
        r"Tunnel connection failed: (?P<answer>\d+[\w ]*)",
        "the proxy in {proxy} refuses ({answer})",
        "add the server to NO_PROXY, or ask who runs the proxy",
    ),
    Cause("proxy appears to only use HTTP", "the proxy in {proxy} speaks no TLS", "write http:// there, not https://"),
    Cause(
        "[Pp]roxy URL|ProxySchemeUnknown", "no proxy is named in {proxy}", "write http://HOST:PORT there, or unset it"
    ),
    Cause(
        r"certificate bundle, invalid path|\[X509",
        "no file with certificates is named in {bundle}",
        "name a PEM file there, or unset it",
    ),
    Cause(
        "certificate has expired|certificate is not yet valid|CERT_HAS_EXPIRED|CERT_NOT_YET_VALID",
        "the server's certificate is not valid today",
        "look whether this machine's clock is right",
    ),
    Cause(
        "mismatch, certificate is not valid|CERT_ALTNAME_INVALID",
        "the server's certificate is another host's",
        "correct the address",
    ),
    Cause(
        "CERTIFICATE_VERIFY_FAILED|SELF_SIGNED_CERT|self-signed certificate|UNABLE_TO_(GET|VERIFY)",
        "the server's certificate is self-signed, or signed by an authority that this machine does not know",
        "if it is your network's own, name its PEM file in REQUESTS_CA_BUNDLE (for npm in NODE_EXTRA_CA_CERTS)",
    ),
    Cause("WRONG_VERSION_NUMBER", "no TLS is spoken at this address", "write http:// instead of https://"),
    Cause(
        "NameResolution|Failed to resolve|getaddrinfo|ENOTFOUND|EAI_AGAIN|Name or service not known",
        "the host's name does not resolve",
        "correct it, look whether there is a network, or name its proxy in HTTPS_PROXY",
    ),
    Cause(
        "Connection refused|ECONNREFUSED",
        "the connection is refused",
        "nothing listens there, or a firewall forbids it",
        passing=True,
    ),
    Cause(
        "unreachable|No route to host|E(HOST|NET)UNREACH",
        "there is no way to the server",
        "look whether there is a network",
        passing=True,
    ),
    Cause(
        "timed out|TIMEDOUT|SOCKET_TIMEOUT|^(Connect|Read)?Timeout",
        "no answer in time",
        "the server is busy or away, or a firewall is silent",
        passing=True,
    ),
    Cause("TooManyRedirects", "redirects in a circle", "name another address"),
    Cause(
        "IncompleteRead|Disconnected|Connection (aborted|broken)|reset by peer|ECONNRESET|socket hang up",
        "the connection broke off",
        "try again",
        passing=True,
    ),
    Cause("Invalid ?URL|LocationParseError|InvalidSchema|MissingSchema", "that is no address", "correct it"),
)


def reason(error: BaseException) -> str:
    """Return the cause of a failed request and its remedy; of an unknown cause the error's own text. No password."""
    return reason_in_output(_text(error)) or one_line(_text(error))[:LONGEST]


def may_pass(error: BaseException) -> bool:
    """Return whether another try may succeed: not if a setting or an address is wrong."""
    found = _find(_text(error))
    return found is None or found[0].passing


def reason_in_output(text: str) -> str:
    """Return the cause that the text of an error or the output of a program names, and its remedy; "": none."""
    found = _find(text)
    if found is None:
        return ""
    cause, match = found
    (proxy, named), (bundle, _) = _variables(PROXIES, text), _variables(BUNDLES, text)
    if (named or re.search(PROXY, text)) and "{proxy}" not in cause.words:
        return f"the proxy in {proxy}: {cause.words}: correct or unset {proxy}, or add the server to NO_PROXY"
    values = {"proxy": proxy, "bundle": bundle} | match.groupdict()
    return one_line(f"{cause.words}: {cause.remedy}".format_map(values))


def _find(text: str) -> tuple[Cause, re.Match[str]] | None:
    matches = ((cause, re.search(cause.pattern, text)) for cause in CAUSES)
    return next(((cause, match) for cause, match in matches if match), None)


def _text(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"


def _variables(names: tuple[str, ...], text: str) -> tuple[str, bool]:
    """Return which of these variables are set, in whichever case: those whose place the text has, and True, or all."""
    both = [spelling for name in names for spelling in (name, name.lower())]
    values = {name: os.environ[name].rstrip("/") for name in both if os.environ.get(name)}
    places = {name: value.rpartition("@")[2].rpartition("//")[2] for name, value in values.items()}
    # A host without a port, or a file without a folder, may be a part of any word.
    named = [name for name, place in places.items() if re.fullmatch(r".+:\d+|.*/.+", place) and place in text]
    return ", ".join(named or places) or "the settings", bool(named)
