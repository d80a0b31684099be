"""A really started server of a registered ensemble: what it answers, and what it refuses."""

import concurrent.futures
import json
import re
import socket
import time
from urllib.parse import urlsplit

import numpy as np
import pytest
import requests

from pipeline.core.errors import UserError
from pipeline.data import cifar10
from pipeline.serving import server
from tests.served import JSON, PATIENCE, ask, png, start, tiny, until_ready


@pytest.mark.parametrize("key", ["inputs", "instances"])
def test_its_probabilities_are_those_of_keras(url, served_model, images, key):
    answer = ask(url, images[0][:20], key)
    assert answer.status_code == 200
    expected = served_model.predict(images[0][:20], verbose=0)
    assert np.array(answer.json()["predictions"]) == pytest.approx(expected, abs=1e-5)


def test_200_requests_at_once_are_all_answered_rightly(url, served_model, images):
    expected = served_model.predict(images[0][:200], verbose=0)
    with concurrent.futures.ThreadPoolExecutor(200) as pool:
        answers = list(pool.map(lambda index: ask(url, images[0][index : index + 1]), range(200)))
    assert [answer.status_code for answer in answers] == [200] * 200
    found = np.concatenate([answer.json()["predictions"] for answer in answers])
    assert found == pytest.approx(expected, abs=1e-5)


RIGHT = np.zeros((1, 32, 32, 3), "uint8").tolist()


def changed(value) -> list:
    images = json.loads(json.dumps(RIGHT))
    images[0][5][5][1] = value
    return images


WRONG = {
    "64 pixels": (422, {"inputs": np.zeros((1, 64, 64, 3), "uint8").tolist()}),
    "no batch": (422, {"inputs": RIGHT[0]}),
    "no image": (422, {"inputs": []}),
    "grey": (422, {"inputs": np.zeros((1, 32, 32, 1), "uint8").tolist()}),
    "a fraction": (422, {"inputs": changed(0.5)}),
    "a fraction that is whole": (422, {"inputs": changed(1.0)}),
    "256": (422, {"inputs": changed(256)}),
    "-1": (422, {"inputs": changed(-1)}),
    "a huge number": (422, {"inputs": changed(10**400)}),
    "NaN": (422, {"inputs": changed(float("nan"))}),
    "infinity": (422, {"inputs": changed(float("inf"))}),
    "null": (422, {"inputs": changed(None)}),
    "true": (422, {"inputs": np.ones((1, 32, 32, 3), bool).tolist()}),
    "text": (422, {"inputs": changed("black")}),
    "only text": (422, {"inputs": "cat.png"}),
    "ragged lists": (422, {"inputs": [[1, 2], [3]]}),
    "a column's name": (422, {"inputs": {"images": RIGHT}}),
    "another key": (400, {"images": RIGHT}),
    "two keys": (400, {"inputs": RIGHT, "instances": RIGHT}),
    "a table": (400, {"dataframe_split": {"columns": ["a"], "data": [[1]]}}),
    "a list": (400, RIGHT),
}


def refused(answer: requests.Response, status: int, record_property) -> None:
    assert answer.status_code == status, answer.text
    detail = answer.json()["detail"]
    record_property("seen", f"{status}: {detail}")
    assert 10 < len(detail) < 200
    assert "Traceback" not in answer.text


@pytest.mark.fault("asked of the server:")
@pytest.mark.parametrize("kind", WRONG)
def test_wrong_images_are_refused_with_the_reason(kind, url, record_property):
    status, body = WRONG[kind]
    sent = requests.post(f"{url}/invocations", json.dumps(body), headers=JSON, timeout=PATIENCE)
    refused(sent, status, record_property)


BODIES = {
    "no JSON": (400, b"{", JSON),
    "deeply nested": (400, b"[" * 100_000, JSON),
    "not UTF-8": (400, b'{"inputs": "\xff"}', JSON),
    "nothing": (400, b"", JSON),
    "without a type": (415, b"{}", {}),
    "a table as text": (415, b"a,b\n1,2\n", {"Content-Type": "text/csv"}),
    "more than 50 MB": (413, b"0" * 50_000_001, JSON),
}


@pytest.mark.fault("sent to the server:")
@pytest.mark.parametrize("kind", BODIES)
def test_wrong_bodies_are_refused_with_the_reason(kind, url, record_property):
    status, body, headers = BODIES[kind]
    refused(requests.post(f"{url}/invocations", body, headers=headers, timeout=PATIENCE), status, record_property)


@pytest.mark.fault("dropped on the page:")
@pytest.mark.parametrize("kind", ["text", "nothing", "a torn PNG file"])
def test_what_is_no_picture_is_refused(kind, url, images, record_property):
    body = {"text": b"a cat", "nothing": b"", "a torn PNG file": png(images[0][0])[:300]}[kind]
    refused(requests.post(f"{url}/members", body, timeout=PATIENCE), 422, record_property)


def test_members_and_ensemble_are_those_of_keras(url, served_model, images):
    found = requests.post(f"{url}/members", png(images[0][3]), timeout=PATIENCE).json()
    assert found["classes"] == list(cifar10.CLASSES)
    assert set(found["models"]) == {"one", "two", "ensemble"}
    batch = images[0][3:4]
    assert found["models"]["ensemble"] == pytest.approx(served_model.predict(batch, verbose=0)[0], abs=1e-5)
    one = served_model.get_layer("one").predict(batch, verbose=0)[0]
    assert found["models"]["one"] == pytest.approx(one, abs=1e-5)
    assert found["image"].startswith("data:image/png;base64,")


def test_a_model_that_is_no_ensemble_has_no_members(images):
    single = tiny("one")
    found = server.Served(single).predict(images[0][:2])
    assert list(found) == ["one"]
    assert np.array_equal(found["one"], single.predict_on_batch(images[0][:2]))


def test_it_says_what_it_is(url):
    assert requests.get(f"{url}/health", timeout=PATIENCE).text == "alive\n"
    assert requests.get(f"{url}/ready", timeout=PATIENCE).text == "ready\n"
    assert requests.get(f"{url}/ping", timeout=PATIENCE).status_code == 200
    assert re.fullmatch(r"[\d.]+", requests.get(f"{url}/version", timeout=PATIENCE).text)
    assert requests.get(f"{url}/invocations", timeout=PATIENCE).status_code == 405
    assert requests.get(f"{url}/nothing", timeout=PATIENCE).status_code == 404


def test_it_answers_on_loopback_only_and_under_that_name(url):
    port = int(url.rpartition(":")[2])
    with pytest.raises(OSError), socket.create_connection(("127.0.0.2", port), timeout=10):
        pass
    assert requests.get(url, headers={"Host": "attacker.example"}, timeout=PATIENCE).status_code == 400


def test_it_lives_before_it_is_ready_and_ends_well(served_folder):
    process = start(served_folder, "--port", "0")
    address = re.search(r"http://127\.0\.0\.1:\d+", "".join(process.stdout.readline() for _ in range(2)))[0]
    began, alive = time.monotonic(), None
    while alive is None and time.monotonic() - began < PATIENCE:
        try:
            alive = requests.get(f"{address}/health", timeout=PATIENCE).status_code
            before = [requests.get(f"{address}/ready", timeout=PATIENCE), ask(address, np.zeros((1, 32, 32, 3)))]
        except requests.ConnectionError:
            time.sleep(0.05)
    assert alive == 200
    assert [answer.status_code for answer in before] == [503, 503]
    until_ready(address)
    process.terminate()
    assert process.wait(60) == 0
    assert "Traceback" not in process.stderr.read()


@pytest.mark.parametrize("wrong", ["port", "host", "version"])
def test_what_cannot_be_served_is_one_line(wrong, served_folder, url):
    port = url.rpartition(":")[2]
    arguments = {"port": ["--port", port], "host": ["--host", "192.0.2.1"], "version": ["--model", "7", "--port", "0"]}
    process = start(served_folder, *arguments[wrong])
    said = process.communicate(timeout=PATIENCE)[1]
    assert process.returncode == 1
    assert said.count("\n") == 1 and said.startswith("error: ")


def test_an_address_that_cannot_be_had_is_said():
    with server.listen("127.0.0.1", 0) as bound:
        bound.listen()
        with pytest.raises(UserError, match=r"cannot be served at: .*choose another"):
            server.listen("127.0.0.1", bound.getsockname()[1])


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("localhost", "localhost"),
        ("::1", "[::1]"),
        ("0.0.0.0", "127.0.0.1"),  # noqa: S104
        ("0", "127.0.0.1"),
        ("::", "[::1]"),
    ],
)
def test_the_address_that_is_printed_can_be_opened(host, expected):
    with server.listen(host, 0) as bound:
        bound.listen()
        url = server.url(bound, host)
        assert url == f"http://{expected}:{bound.getsockname()[1]}"
        place = urlsplit(url)
        socket.create_connection((place.hostname, place.port), timeout=10).close()


def test_an_address_of_ipv6_is_served_and_called_by_that_name_only(served_folder):
    process = start(served_folder, "--port", "0", "--host", "::1")
    try:
        lines = [process.stdout.readline() for _ in range(4)]
        address = re.search(r"http://\[::1\]:\d+", lines[1])[0]
        assert f"curl -s '{address}/ready'" in lines[2]
        began = time.monotonic()
        while time.monotonic() - began < PATIENCE:
            try:
                alive = requests.get(f"{address}/health", timeout=PATIENCE)
                break
            except requests.ConnectionError:
                time.sleep(0.05)
        assert alive.text == "alive\n"
        assert requests.get(address, headers={"Host": "attacker.example"}, timeout=PATIENCE).status_code == 400
    finally:
        process.terminate()
        process.wait(60)
