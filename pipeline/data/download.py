"""One file over HTTPS: resumed after a break, retried with back-off, and checked before it gets its name."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

import requests
import urllib3

from pipeline.core.environment import OFFLINE
from pipeline.core.errors import UserError
from pipeline.core.files import checksum
from pipeline.core.progress import Progress
from pipeline.core.schema import Http

CHUNK = 1 << 16  # bytes
SLOWEST = 1000  # bytes a second, mean over http.read_timeout: a server that sends less has stalled
DIGITS = 18  # of a length that a server claims: a number with more is none
LARGEST = 1 << 30  # bytes: what sends more is not one of our files


class Unreachable(Exception):
    """The source did not give the file, for a reason that may pass: no answer, a break, an error status."""


def require_online() -> None:
    """Raise Unreachable if the user wants no network."""
    if os.environ.get(OFFLINE, "") not in ("", "0"):
        raise Unreachable(f"{OFFLINE} is set")


def fetch(url: str, destination: Path, algorithm: str, digest: str, http: Http) -> None:
    """Download `url` to `destination`.

    What has arrived stays in `destination` + ".part" when the connection breaks, and the next try asks for the rest
    only. Where that gives the wrong checksum, it was perhaps the beginning of another file, and all is asked for once
    more. Raises Unreachable when the retries are used up, UserError when the whole file has the wrong checksum (it is
    deleted).
    """
    if destination.is_file() and checksum(destination, algorithm) == digest:
        return
    require_online()
    destination.parent.mkdir(parents=True, exist_ok=True)
    part = destination.with_name(destination.name + ".part")
    for _ in range(2 if part.exists() else 1):
        _complete(url, part, http)
        found = checksum(part, algorithm)
        if found == digest:
            part.replace(destination)
            return
        part.unlink()
    raise UserError(f"{url}: {algorithm} is {found}, expected {digest}; deleted, use another source")


def _complete(url: str, part: Path, http: Http) -> None:
    """Receive what `part` lacks, in as many tries as it takes. Raises Unreachable when they are used up."""
    for attempt in range(http.retries + 1):
        try:
            return _receive(url, part, http)
        except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
            reason = _reason(error)
            if attempt == http.retries or not _passing(error):
                raise Unreachable(f"{url}: {reason}") from None
            pause = max(http.backoff * 2**attempt, _wished(error, http.read_timeout))
            print(f"{url}: {reason}; trying again in {pause:g} s", flush=True)
            time.sleep(pause)


def _receive(url: str, part: Path, http: Http) -> None:
    start = part.stat().st_size if part.exists() else 0
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={start}-"} if start else {})
    timeouts = (http.connect_timeout, http.read_timeout)
    with requests.get(url, headers=headers, stream=True, timeout=timeouts) as response:
        if start and response.status_code == 416:  # nothing is left to send: the checksum decides
            return
        response.raise_for_status()
        continued = response.headers.get("Content-Range", "").startswith(f"bytes {start}-")
        start = start if continued else 0
        length = response.headers.get("Content-Length", "")
        total = start + int(length) if length.isdecimal() and len(length) <= DIGITS else None
        with part.open("ab" if continued else "wb") as file, Progress(part.stem, total, "B", start) as progress:
            for chunk in _chunks(response.raw, http.read_timeout):
                file.write(chunk)
                progress.update(len(chunk))
                if file.tell() > LARGEST:
                    file.truncate(0)
                    raise Unreachable(f"{url}: sends more than {LARGEST / 1e6:.0f} MB")
        if total is not None and part.stat().st_size < total:
            raise requests.ConnectionError("the connection closed before the end")


def _chunks(body: urllib3.BaseHTTPResponse, window: float) -> Iterator[bytes]:
    """Yield what arrives, as it arrives. Raises requests.Timeout when that is too little in `window` seconds."""
    began, received = time.monotonic(), 0
    while chunk := body.read1(CHUNK):
        yield chunk
        received += len(chunk)
        seconds = time.monotonic() - began
        if seconds >= window:
            if received < SLOWEST * seconds:
                raise requests.Timeout
            began, received = time.monotonic(), 0


def _wished(error: Exception, longest: float) -> float:
    """Return the seconds that a busy server asks to be left alone (Retry-After), at most `longest`."""
    response = getattr(error, "response", None)
    wish = response.headers.get("Retry-After", "") if response is not None else ""
    return min(float(wish), longest) if wish.isdecimal() else 0.0


def _passing(error: Exception) -> bool:
    """Return whether another try may help: not for a name that does not resolve, nor for a client error such as 404."""
    if isinstance(error, requests.HTTPError):
        return error.response.status_code in (408, 429) or error.response.status_code >= 500
    return not isinstance(error, requests.TooManyRedirects) and "NameResolutionError" not in str(error)


def _reason(error: Exception) -> str:
    if isinstance(error, requests.HTTPError):
        return f"answered {error.response.status_code}"
    if "NameResolutionError" in str(error):
        return "the server's name does not resolve (no network?)"
    if isinstance(error, requests.TooManyRedirects):
        return "redirects in a circle"
    if isinstance(error, (requests.Timeout, urllib3.exceptions.TimeoutError)):
        return "no answer in time"
    return "the connection failed or broke off"
