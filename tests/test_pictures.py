"""Files of all sizes and kinds become 32 x 32 pixels, RGB; what cannot is refused with a reason."""

import io
import os
import struct
import subprocess
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline import pictures

SIZE = (80, 48)


@pytest.fixture(scope="module")
def photo() -> Image.Image:
    """Smooth enough that JPEG and palettes change little."""
    corners = np.random.default_rng(0).integers(0, 256, (3, 4, 3), "uint8")
    return Image.fromarray(corners).resize(SIZE, Image.Resampling.BICUBIC)


@pytest.fixture(scope="module")
def expected(photo) -> np.ndarray:
    return np.asarray(photo.resize((32, 32), Image.Resampling.BICUBIC)).astype(int)


def decoded(image: Image.Image, form: str = "PNG", **settings) -> np.ndarray:
    file = io.BytesIO()
    image.save(file, form, **settings)
    found = pictures.decode(file)
    assert (found.shape, found.dtype) == ((32, 32, 3), "uint8")
    return found.astype(int)


@pytest.mark.parametrize("suffix", ["png", "bmp", "ppm", "tga", "tiff", "webp"])
def test_32_pixels_are_not_changed(suffix, images, tmp_path):
    for number, image in enumerate(images[0][:20]):
        path = tmp_path / f"{number}.{suffix}"
        Image.fromarray(image).save(path, **({"lossless": True} if suffix == "webp" else {}))
        assert np.array_equal(pictures.read(path), image)


def test_another_size_is_squeezed_whole(photo, expected):
    assert np.array_equal(decoded(photo), expected)
    marked = np.asarray(photo).copy()
    marked[:, -8:] = 255  # a tenth of the width
    assert (decoded(Image.fromarray(marked))[:, -2:] > 240).all()


def test_making_it_smaller_averages_over_all_pixels():
    stripes = np.zeros((320, 320, 3), "uint8")
    stripes[:, ::2] = 200
    assert np.abs(decoded(Image.fromarray(stripes))[:, 1:-1] - 100).max() <= 1


def test_a_large_jpeg_is_as_if_it_had_been_decoded_whole(photo):
    large = photo.resize((1600, 1200), Image.Resampling.BICUBIC)
    file = io.BytesIO()
    large.save(file, "JPEG", quality=95)
    whole = np.asarray(Image.open(io.BytesIO(file.getvalue())).resize((32, 32), Image.Resampling.BICUBIC)).astype(int)
    assert np.abs(pictures.decode(file) - whole).max() <= 2


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_cameras_orientation_is_followed(orientation, photo, expected):
    undo = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    stored = photo.transpose(undo[orientation]) if orientation > 1 else photo
    exif = Image.Exif()
    exif[0x0112] = orientation
    assert np.abs(decoded(stored, exif=exif) - expected).max() <= 1


def test_transparency_is_over_white(photo, expected):
    clear = photo.copy()
    clear.putalpha(0)
    assert (decoded(clear) == 255).all()
    half = photo.copy()
    half.putalpha(128)
    assert np.abs(decoded(half) - (expected + 255) / 2).max() <= 2
    assert (decoded(Image.new("LA", SIZE, (9, 0))) == 255).all()


@pytest.mark.parametrize(("mode", "color"), [("L", 7), ("RGB", (7, 7, 7)), ("P", 0)])
def test_a_colour_that_is_transparent_is_white(mode, color):
    assert (decoded(Image.new(mode, SIZE, color), transparency=color) == 255).all()


def test_grey_palette_and_two_tones(photo):
    grey = np.asarray(photo.convert("L").resize((32, 32), Image.Resampling.BICUBIC)).astype(int)
    assert np.abs(decoded(photo.convert("L")) - grey[..., None]).max() <= 1
    assert np.abs(decoded(photo.quantize(256)) - decoded(photo)).mean() < 4
    tones = decoded(Image.fromarray(np.eye(32, dtype=bool)))
    assert np.array_equal(tones[..., 0], np.eye(32) * 255)


@pytest.mark.parametrize("form", ["PNG", "TIFF", "PPM"])
def test_of_16_bits_the_upper_8_count(form):
    values = (np.arange(1024).reshape(32, 32) * 64 + 63).astype("uint16")
    found = decoded(Image.fromarray(values), form)
    assert np.array_equal(found, np.repeat((values >> 8)[..., None], 3, 2))


def test_in_16_bits_too_one_grey_may_be_transparent():
    values = np.full((32, 32), 300, "uint16")
    values[0] = 301
    found = decoded(Image.fromarray(values), transparency=301)
    assert (found[0] == 255).all() and (found[1:] == 1).all()


def test_cmyk(photo, expected):
    assert np.abs(decoded(photo.convert("CMYK"), "TIFF") - expected).max() <= 2
    assert np.abs(decoded(photo.convert("CMYK"), "JPEG", quality=95) - expected).mean() < 4


@pytest.mark.parametrize("form", ["GIF", "PNG", "WEBP", "TIFF"])
def test_of_an_animation_the_first_frame_counts(form):
    frames = [Image.new("RGB", SIZE, color) for color in ("red", "blue", "blue")]
    found = decoded(frames[0], form, save_all=True, append_images=frames[1:], **({} if form == "TIFF" else {"loop": 0}))
    assert np.abs(found - (255, 0, 0)).max() <= 3


def test_a_single_pixel_is_a_picture():
    assert np.array_equal(decoded(Image.new("RGB", (1, 1), (1, 2, 3))), np.full((32, 32, 3), (1, 2, 3)))


@pytest.fixture
def tree(tmp_path, photo) -> Path:
    """A folder with pictures, other files, folders, and links that lead back."""
    for name in ("b.png", "a.JPG", "z/c.gif", "z.png/d.webp", "m/n/e.tiff"):
        path = tmp_path / "tree" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        photo.save(path)
    for name in ("notes.txt", "weights.h5", "paper.pdf", "figure.eps"):
        (tmp_path / "tree" / name).touch()
    (tmp_path / "tree" / "m" / "back").symlink_to("..")
    (tmp_path / "tree" / "linked.png").symlink_to("b.png")
    return tmp_path / "tree"


def test_folders_are_walked_in_a_stable_order_and_other_files_left_out(tree):
    found = [str(path.relative_to(tree)) for path in pictures.find([tree])]
    assert found == ["a.JPG", "b.png", "linked.png", "m/n/e.tiff", "z/c.gif", "z.png/d.webp"]
    assert pictures.count([tree]) == (6, 5)


def test_what_is_named_is_read_whatever_its_suffix_in_the_order_of_the_names(tree):
    (tree / "b.png").rename(tree / "b.data")
    named = [tree / "z", tree / "b.data", tree / "missing", tree / "m/back/z"]
    assert list(pictures.find(named)) == [tree / "z/c.gif", tree / "b.data", tree / "missing", tree / "m/back/z/c.gif"]
    assert pictures.read(tree / "b.data").shape == (32, 32, 3)


def test_folders_deeper_than_the_stack_are_walked(tmp_path):
    deep = tmp_path / ("d/" * 1100)
    subprocess.run(["mkdir", "-p", deep], check=True)
    (deep / "x.png").touch()
    assert pictures.count([tmp_path]) == (1, 0)
    subprocess.run(["rm", "-r", tmp_path / "d"], check=True)  # pytest's way of removing it ends at 1,000


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


def text_bomb() -> bytes:
    """A PNG file with a comment of 200 MB, packed in 200 kB."""
    comment = chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(200_000_000), 9))
    image = png(8, 8, bytes(9 * 8))
    return image[:33] + comment + image[33:]


def icon_of_a_bomb() -> bytes:
    """An icon file that says 16 pixels, with a PNG file of 20,000 in it."""
    inner = png(20_000, 20_000, bytes(1000))
    return struct.pack("<HHHBBBBHHII", 0, 1, 1, 16, 16, 0, 0, 1, 32, len(inner), 22) + inner


CONTENT = {
    "decompression bomb, 20,000 x 20,000 pixels in 400 kB": lambda: png(20_000, 20_000, bytes(20_001 * 20_000)),
    "2 million x 2 million pixels": lambda: png(2_000_000, 2_000_000, b""),
    "10,000 x 10,000 pixels": lambda: png(10_000, 10_000, b""),
    "comment bomb": text_bomb,
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
    assert list(pictures.find([tmp_path])) == [tmp_path / "x.png"]
    with pytest.raises(pictures.Unreadable) as caught:
        pictures.read(tmp_path / "x.png")
    record_property("seen", str(caught.value))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every folder, so that this cannot be tried as root")
def test_a_folder_that_may_not_be_read_is_reported(tmp_path):
    closed = tmp_path / "closed"
    closed.mkdir(0)
    assert list(pictures.find([tmp_path])) == [closed]
    with pytest.raises(pictures.Unreadable, match="permission denied"):
        pictures.read(closed)
    closed.chmod(0o700)


def test_the_limit_admits_large_cameras():
    assert pictures.decode(io.BytesIO(png(9_400, 9_400, bytes(9_401 * 9_400)))).max() == 0
