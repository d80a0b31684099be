"""Pictures: files of any size and format that Pillow reads, as the networks take them: uint8 (32, 32, 3), RGB.

Another size is squeezed to 32 x 32, with bicubic resampling over all pixels (antialiased). Nothing is cropped: the
objects of CIFAR-10 fill their images, so that what a crop cuts off may be what tells an airplane from a bird. EXIF's
orientation is followed, transparency is laid over white, of an animation the first frame counts, of 16 bits the upper
8; colour profiles are ignored.
"""

import os
import stat
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from pipeline.core.errors import UserError

SIDE = 32
LARGEST = 89_000_000  # pixels; 4 bytes each while they are read, and Pillow warns of more
DRAFT = 256  # pixels; of a larger JPEG an eighth, a quarter or half is decoded, at least so wide and high
# Pillow would run Ghostscript for EPS; it knows the others, but cannot read them.
UNREAD = {"EPS", "BUFR", "GRIB", "HDF5", "MPEG", "WMF"}

Image.init()
FORMATS = [name for name in Image.ID if name not in UNREAD]
SUFFIXES = {suffix for suffix, name in Image.registered_extensions().items() if name in FORMATS}
warnings.filterwarnings("ignore", module=r"PIL\.")  # of damage and of size: what counts is said here


class Unreadable(UserError):
    """A file is no picture to be read. The message is the reason, without the file's name."""


def find(places: Iterable[Path]) -> Iterator[Path]:
    """Yield the pictures in `places`, which are files and folders.

    A file that is named is one whatever its suffix; in folders, and those in them, the suffix says so. They are walked
    by name; links to folders are not followed. No more is kept in memory than the names in the folders that lead to a
    file.
    """
    return (path for path, is_picture in _walk(places) if is_picture)


def count(places: Iterable[Path]) -> tuple[int, int]:
    """How many pictures `find` finds, and how many files it leaves out."""
    counted = Counter(is_picture for _, is_picture in _walk(places))
    return counted[True], counted[False]


def read(path: Path) -> np.ndarray:
    """The picture in a file, uint8 (32, 32, 3). Raises Unreadable."""
    try:
        with open(path, "rb", opener=_without_waiting) as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise Unreadable("is no regular file")
            return decode(file)
    except OSError as error:
        raise Unreadable((error.strerror or str(error)).lower()) from None


def decode(file: BinaryIO) -> np.ndarray:
    """The picture in an open file, uint8 (32, 32, 3). Raises Unreadable."""
    try:
        with Image.open(file, formats=FORMATS) as image:
            if image.width * image.height > LARGEST:
                raise _too_large()
            image.draft(None, (DRAFT, DRAFT))
            ImageOps.exif_transpose(image, in_place=True)
            return np.array(_rgb(image).resize((SIDE, SIDE), Image.Resampling.BICUBIC))
    except Unreadable:
        raise
    except UnidentifiedImageError:
        raise Unreadable("is no picture in a format that is read") from None
    except Image.DecompressionBombError:
        raise _too_large() from None
    except Exception as error:  # decoders raise what they stumble over: struct's errors, MemoryError, others
        raise Unreadable(f"cannot be decoded: {str(error) or type(error).__name__}"[:300]) from None


def _walk(places: Iterable[Path]) -> Iterator[tuple[Path, bool]]:
    """Files, and whether they are taken for pictures."""
    waiting = [iter(places)]
    while waiting:
        named, path = len(waiting) == 1, next(waiting[-1], None)
        if path is None:
            waiting.pop()
        elif not _is_folder(path) or (path.is_symlink() and not named):
            yield path, named or path.suffix.lower() in SUFFIXES
        else:
            try:
                waiting.append(_inside(path))
            except OSError:
                yield path, True  # reading it says why it cannot be listed


def _inside(folder: Path) -> Iterator[Path]:
    """What is in a folder, by name. Raises OSError before the first."""
    names = sorted(path.name for path in folder.iterdir())
    return (folder / name for name in names)


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:  # reading it says why
        return False


def _without_waiting(path: str, flags: int) -> int:
    """Open a file; if it is a pipe, do not wait for whoever would write into it."""
    return os.open(path, flags | os.O_NONBLOCK)


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode == "F":
        raise Unreadable("has floating-point numbers, of which it does not say how bright they are")
    if image.mode.startswith("I"):
        image = _eight_bits(image)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image.convert("RGB")


def _eight_bits(image: Image.Image) -> Image.Image:
    """A grey image of 16 bits, which may be kept in 32, with 8."""
    values = np.asarray(image)
    if values.min() < 0 or values.max() > 0xFFFF:
        raise Unreadable("has numbers of 32 bits, of which it does not say how bright they are")
    grey = (values >> 8).astype("uint8")
    grey[values == image.info.get("transparency", -1)] = 255  # in a PNG file one grey may be transparent
    return Image.fromarray(grey)


def _too_large() -> Unreadable:
    return Unreadable(f"has more than {LARGEST / 1e6:.0f} million pixels")
