"""A server on this machine that answers as it should not, by a script of steps."""

import contextlib
import hashlib
import http.server
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from pipeline.core.schema import Http

CONTENT = np.random.default_rng(0).bytes(300_000)
SHA256 = hashlib.sha256(CONTENT).hexdigest()
HTTP = Http(connect_timeout=2.0, read_timeout=2.0, retries=2, backoff=0.01)

Step = Callable[["Handler"], None]


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers its server's requests by the steps of a script, the last one again and again."""

    def do_GET(self) -> None:
        ranges, script = self.server.ranges, self.server.script
        ranges.append(self.headers.get("Range"))
        script[min(len(ranges), len(script)) - 1](self)

    do_CONNECT = do_GET  # as a proxy

    def answer(self, status: int, content: bytes = b"", length: int | str | None = None, **headers: str) -> None:
        self.send_response(status)
        for name, value in ({"Content-Length": str(len(content) if length is None else length)} | headers).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_) -> None:
        pass


@contextlib.contextmanager
def serving(*script: Step) -> Iterator[tuple[str, list[str | None]]]:
    """Run a server with that script; give the URL of a file and the Range header of each request so far."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.script, server.ranges, server.over = script, [], threading.Event()
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/file.bin", server.ranges
        finally:
            server.over.set()
            server.shutdown()
            thread.join()


def whole(handler: Handler) -> None:
    """Send everything, whatever part was asked for."""
    handler.answer(200, CONTENT)


def the_rest(handler: Handler) -> None:
    """Send what was asked for: bytes=START-."""
    start = int(handler.headers["Range"].removeprefix("bytes=").removesuffix("-"))
    handler.answer(206, CONTENT[start:], **{"Content-Range": f"bytes {start}-{len(CONTENT) - 1}/{len(CONTENT)}"})


def cut(handler: Handler) -> None:
    """Promise everything, send two thirds, and hang up."""
    handler.answer(200, CONTENT[:200_000], len(CONTENT))


def silent(handler: Handler) -> None:
    handler.server.over.wait(10)


def wrong(handler: Handler) -> None:
    handler.answer(200, CONTENT[::-1])


def the_beginning_for_the_rest(handler: Handler) -> None:
    """Claim to send the rest, and send the beginning."""
    handler.answer(206, CONTENT, **{"Content-Range": f"bytes 0-{len(CONTENT) - 1}/{len(CONTENT)}"})


def the_wrong_rest(handler: Handler) -> None:
    start = int(handler.headers["Range"].removeprefix("bytes=").removesuffix("-"))
    rest = CONTENT[start:][::-1]
    handler.answer(206, rest, **{"Content-Range": f"bytes {start}-{len(CONTENT) - 1}/{len(CONTENT)}"})


def short(handler: Handler) -> None:
    """Promise less than is sent."""
    handler.answer(200, CONTENT, 1000)


def nonsense_length(handler: Handler) -> None:
    handler.close_connection = True
    handler.answer(200, CONTENT, "many")


def dripping(handler: Handler) -> None:
    """Never silent for long, and never done."""
    handler.answer(200, b"", len(CONTENT))
    while not handler.server.over.wait(0.05):
        handler.wfile.write(b"x")


def endless(handler: Handler) -> None:
    handler.send_response(200)
    handler.end_headers()
    while not handler.server.over.is_set():
        handler.wfile.write(CONTENT)


def elsewhere(handler: Handler) -> None:
    handler.answer(302, Location="/other.bin")


def status(code: int, **headers: str) -> Step:
    return lambda handler: handler.answer(code, **headers)


def sending(content: bytes) -> Step:
    return lambda handler: handler.answer(200, content)


@pytest.fixture
def serve():
    """Start a server with a script; return its URL and the Range header of each request so far."""
    with contextlib.ExitStack() as running:
        yield lambda *script: running.enter_context(serving(*script))


@pytest.fixture
def destination(tmp_path) -> Path:
    return tmp_path / "downloads/file.bin"


def part(destination: Path) -> Path:
    return destination.with_name(destination.name + ".part")


def assert_whole(destination: Path) -> None:
    assert destination.read_bytes() == CONTENT
    assert not part(destination).exists()
