"""Files of all sizes and kinds become 32 x 32 pixels, RGB; what cannot is refused with a reason."""

import io
import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.serving import pictures

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


def find(places: list[Path]) -> list[Path]:
    return [path for path, is_picture in pictures.walk(places) if is_picture]


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
    found = [str(path.relative_to(tree)) for path in find([tree])]
    assert found == ["a.JPG", "b.png", "linked.png", "m/n/e.tiff", "z/c.gif", "z.png/d.webp"]
    assert sum(not is_picture for _, is_picture in pictures.walk([tree])) == 5


def test_what_is_named_is_read_whatever_its_suffix_in_the_order_of_the_names(tree):
    (tree / "b.png").rename(tree / "b.data")
    named = [tree / "z", tree / "b.data", tree / "missing", tree / "m/back/z"]
    assert find(named) == [tree / "z/c.gif", tree / "b.data", tree / "missing", tree / "m/back/z/c.gif"]
    assert pictures.read(tree / "b.data").shape == (32, 32, 3)


def test_folders_deeper_than_the_stack_are_walked(tmp_path):
    deep = tmp_path / ("d/" * 1100)
    subprocess.run(["mkdir", "-p", deep], check=True)
    (deep / "x.png").touch()
    assert list(pictures.walk([tmp_path])) == [(deep / "x.png", True)]
    subprocess.run(["rm", "-r", tmp_path / "d"], check=True)  # pytest's way of removing it ends at 1,000
