"""One file over HTTPS: resumed after a break, retried with back-off, and checked before it gets its name."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

import requests
import urllib3

from pipeline.core import connection
from pipeline.core.environment import OFFLINE
from pipeline.core.errors import UserError, one_line
from pipeline.core.files import checksum, locate, matches
from pipeline.core.progress import Progress
from pipeline.core.schema import Http

CHUNK = 1 << 16  # bytes
SLOWEST = 1000  # bytes a second, mean over http.read_timeout: a server that sends less has stalled
LARGEST = 1 << 30  # bytes: what sends more is not one of our files


class Unreachable(Exception):
    """The source did not give the file, for a reason that may pass: no answer, a break, an error status.

    The message is one line, without an address' password.
    """

    def __init__(self, message: str):
        super().__init__(one_line(message))


def require_online() -> None:
    """Raise Unreachable if the user wants no network."""
    if os.environ.get(OFFLINE, "") not in ("", "0"):
        raise Unreachable(f"{OFFLINE} is set")


def fetch(url: str, destination: Path, algorithm: str, digest: str, http: Http) -> None:
    """Download `url` to `destination`, unless a file with that checksum is there.

    What has arrived stays in `destination` + ".part" when the connection breaks, and the next try asks for the rest
    only. Where that gives the wrong checksum, it was perhaps the beginning of another file, and all is asked for once
    more. Raises Unreachable when the retries are used up, UserError when the whole file has the wrong checksum.
    """
    if matches(destination, algorithm, digest):
        return
    require_online()
    destination.parent.mkdir(parents=True, exist_ok=True)
    destination, _ = locate(destination)
    part = destination.with_name(destination.name + ".part")
    for _ in range(2 if part.exists() else 1):
        _complete(url, part, http)
        found = checksum(part, algorithm)
        if found == digest:
            part.replace(destination)
            return
        hint = " (it is a web page: perhaps the network asks for a login)" if _is_page(part) else ""
        part.unlink()
    raise UserError(f"{url}: {algorithm} is {found}, expected {digest}{hint}; deleted, use another source")


def _is_page(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(100).lstrip().lower().startswith((b"<!doctype html", b"<html"))


def _complete(url: str, part: Path, http: Http) -> None:
    """Receive what `part` lacks, in as many tries as it takes. Raises Unreachable when they are used up."""
    for attempt in range(http.retries + 1):
        try:
            return _receive(url, part, http)
        except (OSError, urllib3.exceptions.HTTPError) as error:
            if getattr(error, "errno", None):  # of the disk; requests' own are OSErrors without a number
                raise
            reason, wish = _judge(error)
            if wish is None or attempt == http.retries:
                raise Unreachable(f"{url}: {reason}") from None
            pause = max(http.backoff * 2**attempt, min(wish, http.read_timeout))
            print(one_line(f"{url}: {reason}; trying again in {pause:g} s"), flush=True)
            time.sleep(pause)


def _receive(url: str, part: Path, http: Http) -> None:
    start = part.stat().st_size if part.exists() else 0
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={start}-"} if start else {})
    with requests.get(url, headers=headers, stream=True, timeout=(http.connect_timeout, http.read_timeout)) as response:
        if start and response.status_code == 416:  # nothing is left to send: the checksum decides
            return
        response.raise_for_status()
        continued = response.headers.get("Content-Range", "").startswith(f"bytes {start}-")
        start = start if continued else 0
        left = response.raw.length_remaining  # urllib3 raises if less comes; None or 0: of unknown length
        total = start + left if left else 0
        too_large = Unreachable(f"{url}: sends more than {LARGEST / 1e6:.0f} MB")
        if total > LARGEST:
            raise too_large
        with part.open("ab" if continued else "wb") as file, Progress(part.stem, total, "B", start) as progress:
            for chunk in _chunks(response.raw, http.read_timeout):
                file.write(chunk)
                progress.update(len(chunk))
                if file.tell() > LARGEST:
                    file.truncate(0)
                    raise too_large


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


def _judge(error: Exception) -> tuple[str, float | None]:
    """Return what went wrong, and how many seconds to wait before the next try; None: another try cannot help."""
    if isinstance(error, requests.HTTPError) and error.response.status_code != 407:  # a proxy's
        status, wish = error.response.status_code, error.response.headers.get("Retry-After", "")
        if status < 500 and status not in (408, 429):
            return f"answered {status}", None
        return f"answered {status}", float(wish) if wish.isdecimal() else 0.0
    return connection.reason(error), 0.0 if connection.may_pass(error) else None
