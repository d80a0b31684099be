"""A server that answers anything: the file comes whole, or not at all. `make fuzz` tries 10,000 cases."""

import hashlib
import socketserver
import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.errors import UserError
from pipeline.core.schema import Http
from pipeline.data import download
from pipeline.data.download import Unreachable
from tests.fuzzing import changed, fuzzed, one_line

HTTP = Http(connect_timeout=2.0, read_timeout=2.0, retries=0, backoff=0.0)
CONTENT = np.random.default_rng(0).bytes(2000)
NUMBERS = st.sampled_from([0, 1, 500, 1999, 2000, 2001, -1, "9" * 5000, "many", "", "1 2", "0x7"]) | st.integers()


class Answer(socketserver.StreamRequestHandler):
    """Sends what its server has, whatever is asked."""

    def handle(self) -> None:
        while self.rfile.readline().strip():  # the request's head
            pass
        self.wfile.write(self.server.answer)


@pytest.fixture(scope="module")
def server():
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Answer) as made:
        threading.Thread(target=made.serve_forever, args=(0.01,), daemon=True).start()
        yield made
        made.shutdown()


@fuzzed
@given(data=st.data())
def test_a_server_that_answers_anything_gives_the_file_or_no_file(data, server, tmp_path):
    status = data.draw(st.sampled_from([200, 206, 204, 302, 404, 416, 429, 503]))
    first, last, whole, length, wish = (data.draw(NUMBERS) for _ in range(5))
    heads = [f"Content-Range: bytes {first}-{last}/{whole}", f"Content-Length: {length}", f"Retry-After: {wish}"]
    heads += ["Transfer-Encoding: chunked", "Content-Encoding: gzip", "Location: /other"]
    chosen = data.draw(st.lists(st.sampled_from(heads), unique=True))
    server.answer = "\r\n".join([f"HTTP/1.1 {status} X", *chosen, "", ""]).encode()
    server.answer += CONTENT[data.draw(st.sampled_from([0, 0, 500, 1999])) :]
    if data.draw(st.integers(0, 3)) == 0:
        server.answer = changed(data, server.answer)
    path, part = tmp_path / "x", tmp_path / "x.part"
    path.unlink(missing_ok=True)
    part.unlink(missing_ok=True)
    if begun := data.draw(st.sampled_from([0, 0, 500, 2000])):
        part.write_bytes(CONTENT[:begun])
    url = f"http://127.0.0.1:{server.server_address[1]}/x"
    try:
        download.fetch(url, path, "sha256", hashlib.sha256(CONTENT).hexdigest(), HTTP)
        assert path.read_bytes() == CONTENT
    except (UserError, Unreachable) as error:
        one_line(error)
        assert not path.exists()
