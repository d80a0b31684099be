"""One file over HTTPS: resumed after a break, retried with back-off, and checked before it gets its name."""

import time
from pathlib import Path

import requests

from pipeline.console import Progress
from pipeline.errors import UserError
from pipeline.files import checksum
from pipeline.params import Http

CHUNK = 1 << 16  # bytes


class Unreachable(Exception):
    """The source did not give the file, for a reason that may pass: no answer, a break, an error status."""


def fetch(url: str, destination: Path, algorithm: str, digest: str, http: Http) -> None:
    """Download `url` to `destination`.

    What has arrived stays in `destination` + ".part" when the connection breaks, and the next try asks for the rest
    only. Raises Unreachable when the retries are used up, UserError when the whole file has the wrong checksum (it is
    deleted).
    """
    if destination.is_file() and checksum(destination, algorithm) == digest:
        return
    destination.parent.mkdir(parents=True, exist_ok=True)
    part = destination.with_name(destination.name + ".part")
    for attempt in range(http.retries + 1):
        try:
            _receive(url, part, http)
            break
        except requests.RequestException as error:
            reason = _reason(error)
            if attempt == http.retries or not _passing(error):
                raise Unreachable(f"{url}: {reason}") from None
            pause = http.backoff * 2**attempt
            print(f"{url}: {reason}; trying again in {pause:g} s", flush=True)
            time.sleep(pause)
    found = checksum(part, algorithm)
    if found != digest:
        part.unlink()
        raise UserError(f"{url}: {algorithm} is {found}, expected {digest}; deleted, use another source")
    part.replace(destination)


def _receive(url: str, part: Path, http: Http) -> None:
    start = part.stat().st_size if part.exists() else 0
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={start}-"} if start else {})
    timeouts = (http.connect_timeout, http.read_timeout)
    with requests.get(url, headers=headers, stream=True, timeout=timeouts) as response:
        if response.status_code == 416:  # nothing is left to send: the checksum decides
            return
        response.raise_for_status()
        resumed = response.status_code == 206
        start = start if resumed else 0
        total = start + int(response.headers["Content-Length"]) if "Content-Length" in response.headers else None
        with part.open("ab" if resumed else "wb") as file, Progress(part.stem, total, "B", start) as progress:
            for chunk in response.iter_content(CHUNK):
                file.write(chunk)
                progress.update(len(chunk))
        if total is not None and part.stat().st_size < total:
            raise requests.ConnectionError("the connection closed before the end")


def _passing(error: requests.RequestException) -> bool:
    """Whether another try may help: not for a name that does not resolve, nor for a client error such as 404."""
    if isinstance(error, requests.HTTPError):
        return error.response.status_code in (408, 429) or error.response.status_code >= 500
    return "NameResolutionError" not in str(error)


def _reason(error: requests.RequestException) -> str:
    if isinstance(error, requests.HTTPError):
        return f"answered {error.response.status_code}"
    if "NameResolutionError" in str(error):
        return "the server's name does not resolve (no network?)"
    if isinstance(error, requests.Timeout):
        return "no answer in time"
    return "the connection failed or broke off"
