"""Pictures that are hostile or damaged, and places that are none: refused with a reason, and not waited for."""

import contextlib
import io
import os
import struct
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.serving import pictures
from tests import damaged_pictures as damaged
from tests import refusing
from tests.conftest import ROOT


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png(width: int, height: int, rows: bytes) -> bytes:
    """A PNG file of grey pixels."""
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    content = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + content


def whole(form: str) -> bytes:
    file = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 256, (256, 256, 3), "uint8")
    Image.fromarray(noise).save(file, form)
    return file.getvalue()


def icon_of_a_bomb() -> bytes:
    """An icon file that says 16 pixels, with a PNG file of 20,000 in it."""
    inner = png(20_000, 20_000, bytes(1000))
    return struct.pack("<HHHBBBBHHII", 0, 1, 1, 16, 16, 0, 0, 1, 32, len(inner), 22) + inner


CONTENT = {
    "decompression bomb, 20,000 x 20,000 pixels in 400 kB": lambda: png(20_000, 20_000, bytes(20_001 * 20_000)),
    "2 million x 2 million pixels": lambda: png(2_000_000, 2_000_000, b""),
    "10,000 x 10,000 pixels": lambda: png(10_000, 10_000, b""),
    "icon with a bomb in it": icon_of_a_bomb,
    "truncated JPEG": lambda: whole("JPEG")[:-2000],
    "truncated PNG": lambda: whole("PNG")[:-2000],
    "truncated GIF": lambda: whole("GIF")[:-2000],
    "text named .png": lambda: b"a picture is worth a thousand words\n" * 100,
    "HTML named .png": lambda: b"<!doctype html><title>404 Not Found</title>",
    "empty": bytes,
    "PostScript, for which Pillow would run Ghostscript": lambda: (
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n"
    ),
    "no pixels": lambda: png(0, 0, b""),
    "a damaged checksum": lambda: png(8, 8, bytes(9 * 8)).replace(b"IHDR", b"IHDX"),
    "floating-point": lambda: floats(0.5),
    "whole numbers of 32 bits": lambda: floats(1 << 20, "int32"),
}


def floats(value: float, kind: str = "float32") -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.full((8, 8), value, kind)).save(file, "TIFF")
    return file.getvalue()


@pytest.mark.fault("in place of a picture")
@pytest.mark.parametrize("kind", CONTENT)
def test_a_hostile_or_damaged_picture_is_refused(kind, tmp_path, record_property):
    path = tmp_path / "x.png"
    path.write_bytes(CONTENT[kind]())
    with pytest.raises(pictures.Unreadable) as caught:
        pictures.read(path)
    reason = str(caught.value)
    assert reason.startswith(("has ", "is ", "cannot be decoded: ")) and reason.isprintable()
    record_property("seen", reason)


@pytest.mark.parametrize("size", [0, 65_000])
def test_exif_without_end_is_refused_at_once(size):
    part = damaged.segment(0xE1, damaged.HEAD + bytes(size))
    content = damaged.inserted("JPEG", whole("JPEG"), part * (45_000_000 // len(part)))
    began = time.monotonic()
    with pytest.raises(pictures.Unreadable, match="has EXIF in more than 100 parts"):
        pictures.decode(io.BytesIO(content))
    assert time.monotonic() - began < 1


@pytest.mark.parametrize("form", ["JPEG", "PNG"])
def test_exif_in_some_parts_is_read(form):
    part = damaged.segment(0xE1, damaged.HEAD + bytes(60_000)) if form == "JPEG" else damaged.chunk(b"eXIf", b"x")
    content = damaged.inserted(form, whole(form), part * 50)
    assert np.array_equal(pictures.decode(io.BytesIO(content)), pictures.decode(io.BytesIO(whole(form))))


def loop(path: Path) -> None:
    path.symlink_to(path.name)


def dangling(path: Path) -> None:
    path.symlink_to("nowhere.png")


def link_to_folder(path: Path) -> None:
    (path.parent / "folder").mkdir()
    path.symlink_to("folder")


PLACES = {
    "link to itself": loop,
    "link to nothing": dangling,
    "link to a folder": link_to_folder,
    "named pipe that nobody writes into": os.mkfifo,
    "device": lambda path: path.symlink_to("/dev/zero"),
}


@pytest.mark.fault("in a folder of pictures, named x.png:")
@pytest.mark.parametrize("kind", PLACES)
def test_what_is_no_regular_file_is_refused_and_not_waited_for(kind, tmp_path, record_property):
    PLACES[kind](tmp_path / "x.png")
    assert list(pictures.walk([tmp_path])) == [(tmp_path / "x.png", True)]
    with pytest.raises(pictures.Unreadable) as caught:
        pictures.read(tmp_path / "x.png")
    record_property("seen", str(caught.value))


@contextlib.contextmanager
def as_nobody() -> Iterator[None]:
    """Within the block, who may read everything is a user who may not."""
    user = os.geteuid()
    os.seteuid(user or 65_534)
    try:
        yield
    finally:
        os.seteuid(user)


def test_a_folder_that_may_not_be_read_is_reported():
    with tempfile.TemporaryDirectory() as temporary:  # pytest's own folders are closed to others
        folder = Path(temporary)
        folder.chmod(0o755)
        closed = folder / "closed"
        closed.mkdir(0)
        with as_nobody():
            assert list(pictures.walk([folder])) == [(closed, True)]
            with pytest.raises(pictures.Unreadable, match="permission denied"):
                pictures.read(closed)
        closed.chmod(0o700)


REFUSED = """
import errno, sys, pathlib
from pipeline.serving import pictures
from tests import refusing
refusing.refuse(refusing.CALLS["listing a folder"], errno.EIO)
((path, is_picture),) = pictures.walk([pathlib.Path(sys.argv[1])])
try:
    pictures.read(path)
except pictures.Unreadable as error:
    print(is_picture, error)
"""


@pytest.mark.skipif(refusing.LIBRARY is None, reason="this system has no libseccomp")
def test_why_a_folder_cannot_be_listed_is_said(tmp_path):
    told = subprocess.run([sys.executable, "-c", REFUSED, tmp_path], cwd=ROOT, capture_output=True, text=True)
    assert (told.stdout, told.stderr) == ("True input/output error\n", "")


def test_the_limit_admits_large_cameras():
    assert pictures.decode(io.BytesIO(png(9_400, 9_400, bytes(9_401 * 9_400)))).max() == 0
