"""Damaged metadata does not keep sound pixels from being read; the orientation is followed where it can be read."""

import io

import numpy as np
import pytest
from PIL import Image

from pipeline.serving import pictures
from tests import damaged_pictures as damaged

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:PIL")  # the program ignores them itself
EACH = 20  # pictures: 2 formats x 15 kinds of damage x 20 are 600


def as_turned(form: str, content: bytes, orientation: int) -> np.ndarray:
    """The picture with sound metadata, which has only an orientation."""
    exif = Image.Exif()
    exif[damaged.ORIENTATION] = orientation
    return pictures.decode(io.BytesIO(damaged.with_exif(form, content, exif.tobytes().removeprefix(damaged.HEAD))))


@pytest.mark.fault("in EXIF of a picture:")
@pytest.mark.parametrize("form", ["JPEG", "PNG"])
@pytest.mark.parametrize("kind", damaged.EXIF)
def test_pixels_are_read_and_the_orientation_kept_where_it_can_be_read(kind, form, record_property):
    turned = 0
    for seed in range(EACH):
        random = damaged.seeded(f"{kind} {form} {seed}")
        content = damaged.saved(form, damaged.photo(seed))
        exif, orientation = damaged.EXIF[kind](damaged.Exif.drawn(random), random)
        found = pictures.decode(io.BytesIO(damaged.with_exif(form, content, exif, late=random.random() < 0.3)))
        assert np.array_equal(found, as_turned(form, content, orientation)), seed
        turned += orientation > 1
    record_property("seen", f"{EACH} {form} files read, {turned} of them turned")


@pytest.mark.fault("beside the pixels:")
@pytest.mark.parametrize("late", [False, True], ids=["early", "late"])
@pytest.mark.parametrize("kind", damaged.OTHER)
def test_other_metadata_that_is_damaged_changes_nothing(kind, late, record_property):
    form, extra = damaged.OTHER[kind]
    content = damaged.saved(form, damaged.photo(0))
    exif = b"MM\0*\0\0\0\x08\0\1\1\x12\0\3\0\0\0\1\0\6\0\0\0\0\0\0"  # orientation 6
    found = pictures.decode(io.BytesIO(damaged.inserted(form, damaged.with_exif(form, content, exif), extra, late)))
    assert np.array_equal(found, as_turned(form, content, 6))
    record_property("seen", "the picture, as it is without it, and turned")


def test_a_wrong_checksum_of_exif_is_overlooked():
    content, exif = damaged.saved("PNG", damaged.photo(0)), damaged.Exif.drawn(damaged.seeded(1))
    right = damaged.chunk(b"eXIf", exif.content)
    torn = damaged.inserted("PNG", content, right[:-1] + bytes([right[-1] ^ 1]))
    assert exif.orientation > 1
    assert np.array_equal(pictures.decode(io.BytesIO(torn)), as_turned("PNG", content, exif.orientation))


@pytest.mark.parametrize("form", ["WEBP", "AVIF"])
def test_exif_that_is_a_text_is_overlooked_in_other_formats(form):
    exif = Image.Exif()
    exif[damaged.ORIENTATION] = 6
    exif[0x010F] = "Camera Incorporated"
    file = io.BytesIO()
    damaged.photo(0).save(file, form, exif=exif.tobytes(), quality=90)
    sound = file.getvalue()
    place = max(sound.find(b"II*\0"), sound.find(b"MM\0*"))
    torn = sound[:place] + b"a text of 20 letters" + sound[place + 20 :]
    found, turned = pictures.decode(io.BytesIO(torn)), pictures.decode(io.BytesIO(sound))
    if form == "AVIF":  # which says again, outside of EXIF, how it is turned
        assert np.array_equal(found, turned)
    else:
        assert np.array_equal(np.rot90(found, -1), turned)


@pytest.mark.parametrize("form", ["JPEG", "PNG"])
def test_pixels_that_are_cut_off_are_no_picture_whatever_the_metadata(form):
    content = damaged.saved(form, damaged.photo(0))[:-100]
    for exif in (b"MM\0*\0\0\0\x08\0\0\0\0\0\0", b"a text"):
        with pytest.raises(pictures.Unreadable, match=r"cannot be decoded: .*truncated"):
            pictures.decode(io.BytesIO(damaged.with_exif(form, content, exif)))
