"""A download survives breaks and goes on where it stopped; what cannot be had, or is wrong, is said at once."""

import hashlib

import pytest

from pipeline.core.errors import UserError
from pipeline.data import download
from pipeline.data.download import Unreachable, fetch
from tests.misbehaving import (
    CONTENT,
    HTTP,
    SHA256,
    assert_whole,
    cut,
    dripping,
    elsewhere,
    endless,
    nonsense_length,
    part,
    short,
    status,
    the_beginning_for_the_rest,
    the_rest,
    the_wrong_rest,
    whole,
    wrong,
)

WORD = "secret"


def test_a_file_arrives_whole(serve, destination):
    url, ranges = serve(whole)
    fetch(url, destination, "sha256", SHA256, HTTP)
    assert_whole(destination)
    assert ranges == [None]


def test_a_file_arrives_where_a_link_leads(serve, destination, tmp_path):
    (tmp_path / "disk").mkdir()
    destination.parent.mkdir()
    destination.symlink_to(tmp_path / "disk/file.bin")
    fetch(serve(whole)[0], destination, "sha256", SHA256, HTTP)
    assert destination.is_symlink() and (tmp_path / "disk/file.bin").read_bytes() == CONTENT
    assert [path.name for path in destination.parent.iterdir()] == [destination.name]


def test_md5_is_a_checksum_too(serve, destination):
    url, _ = serve(whole)
    fetch(url, destination, "md5", hashlib.md5(CONTENT).hexdigest(), HTTP)
    assert_whole(destination)


@pytest.mark.fault("a server that hangs up after two thirds")
def test_a_broken_download_goes_on_where_it_stopped(serve, destination):
    url, ranges = serve(cut, the_rest)
    fetch(url, destination, "sha256", SHA256, HTTP)
    assert_whole(destination)
    first, second = ranges
    assert first is None
    # What the client had not yet written when the connection broke, less than a chunk, is asked for again.
    assert 200_000 - 65_536 <= int(second.removeprefix("bytes=").removesuffix("-")) <= 200_000


@pytest.mark.fault("a server that ignores Range")
def test_a_server_that_ignores_range_sends_all_again_and_the_file_is_right(serve, destination):
    url, ranges = serve(cut, whole)
    fetch(url, destination, "sha256", SHA256, HTTP)
    assert_whole(destination)
    assert ranges[1].startswith("bytes=")


def test_what_an_earlier_process_left_is_gone_on_with(serve, destination):
    destination.parent.mkdir()
    part(destination).write_bytes(CONTENT[:123_456])
    url, ranges = serve(the_rest)
    fetch(url, destination, "sha256", SHA256, HTTP)
    assert_whole(destination)
    assert ranges == ["bytes=123456-"]


def test_what_an_earlier_process_left_complete_is_checked_and_named(serve, destination):
    destination.parent.mkdir()
    part(destination).write_bytes(CONTENT)
    url, ranges = serve(status(416))
    fetch(url, destination, "sha256", SHA256, HTTP)
    assert_whole(destination)
    assert ranges == [f"bytes={len(CONTENT)}-"]


def test_a_server_error_that_may_pass_is_tried_again(serve, destination, capsys):
    url, ranges = serve(status(503), whole)
    fetch(url, destination, "sha256", SHA256, HTTP)
    assert_whole(destination)
    assert len(ranges) == 2
    assert "answered 503; trying again" in capsys.readouterr().out


@pytest.mark.fault("a server that always answers 503")
def test_a_server_error_that_stays_ends_after_the_retries(serve, destination):
    url, ranges = serve(status(503))
    with pytest.raises(Unreachable, match="answered 503"):
        fetch(url, destination, "sha256", SHA256, HTTP)
    assert len(ranges) == 1 + HTTP.retries


def test_not_found_is_not_tried_again(serve, destination):
    url, ranges = serve(status(404), whole)
    with pytest.raises(Unreachable, match="answered 404"):
        fetch(url, destination, "sha256", SHA256, HTTP)
    assert len(ranges) == 1
    assert not destination.exists()


@pytest.mark.fault("a server that always hangs up")
def test_a_file_that_always_ends_too_early_is_unreachable_and_its_part_kept(serve, destination):
    url, ranges = serve(cut)
    with pytest.raises(Unreachable, match="broke off"):
        fetch(url, destination, "sha256", SHA256, HTTP)
    assert len(ranges) == 1 + HTTP.retries
    kept = part(destination).read_bytes()
    assert len(kept) >= 200_000 - 65_536
    assert CONTENT.startswith(kept)
    assert not destination.exists()


@pytest.mark.fault("a server of wrong bytes")
def test_wrong_bytes_are_refused_and_nothing_is_left(serve, destination):
    url, ranges = serve(wrong)
    with pytest.raises(UserError) as caught:
        fetch(url, destination, "sha256", SHA256, HTTP)
    assert len(str(caught.value).splitlines()) == 1
    assert SHA256 in str(caught.value)
    assert len(ranges) == 1
    assert list(destination.parent.iterdir()) == []


@pytest.mark.fault("a server that answers oddly")
@pytest.mark.parametrize("step", [the_beginning_for_the_rest, nonsense_length])
def test_a_server_that_answers_oddly_is_understood_or_begun_with_again(step, serve, destination):
    url, _ = serve(cut, step)
    fetch(url, destination, "sha256", SHA256, HTTP)
    assert_whole(destination)


def test_a_wrong_rest_costs_another_download_of_the_whole(serve, destination):
    destination.parent.mkdir()
    part(destination).write_bytes(CONTENT[:123_456])
    url, ranges = serve(the_wrong_rest, whole)
    fetch(url, destination, "sha256", SHA256, HTTP)
    assert_whole(destination)
    assert ranges == ["bytes=123456-", None]


@pytest.mark.fault("a server that lies about the length")
def test_a_length_that_is_too_small_gives_no_file(serve, destination):
    url, _ = serve(short)
    with pytest.raises(UserError, match="expected"):
        fetch(url, destination, "sha256", SHA256, HTTP)
    assert list(destination.parent.iterdir()) == []


def test_a_redirection_is_followed(serve, destination):
    url, ranges = serve(elsewhere, whole)
    fetch(url, destination, "sha256", SHA256, HTTP)
    assert_whole(destination)
    assert len(ranges) == 2


@pytest.mark.fault("redirections in a circle")
def test_redirections_in_a_circle_are_given_up_at_once(serve, destination):
    url, ranges = serve(elsewhere)
    with pytest.raises(Unreachable, match="circle"):
        fetch(url, destination, "sha256", SHA256, HTTP)
    assert len(ranges) < 40


@pytest.mark.fault("a server that answers 429 and asks to wait")
@pytest.mark.parametrize(("wish", "waited"), [("1", 1.0), ("3600", HTTP.read_timeout)])
def test_a_busy_server_is_left_alone_as_long_as_it_asks_within_limits(wish, waited, serve, destination, capsys):
    url, _ = serve(status(429, **{"Retry-After": wish}), whole)
    fetch(url, destination, "sha256", SHA256, HTTP)
    assert_whole(destination)
    assert f"answered 429; trying again in {waited:g} s" in capsys.readouterr().out


@pytest.mark.fault("a server that sends drop by drop")
def test_a_server_that_sends_drop_by_drop_is_given_up(serve, destination):
    url, _ = serve(dripping)
    impatient = HTTP.model_copy(update={"connect_timeout": 0.3, "read_timeout": 0.3, "retries": 0})
    with pytest.raises(Unreachable, match="no answer in time"):
        fetch(url, destination, "sha256", SHA256, impatient)
    assert not destination.exists()


@pytest.mark.fault("a server that never stops sending")
def test_a_server_that_never_stops_sending_fills_no_disk(serve, destination, monkeypatch):
    monkeypatch.setattr(download, "LARGEST", 1_000_000)
    url, _ = serve(endless)
    with pytest.raises(Unreachable, match="more than 1 MB"):
        fetch(url, destination, "sha256", SHA256, HTTP)
    assert part(destination).stat().st_size == 0


def test_offline_nothing_is_asked_for(serve, destination, monkeypatch):
    monkeypatch.setenv(download.OFFLINE, "1")
    url, ranges = serve(whole)
    with pytest.raises(Unreachable, match="CIFAR10_OFFLINE is set"):
        fetch(url, destination, "sha256", SHA256, HTTP)
    assert ranges == []
