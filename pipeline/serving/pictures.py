"""Pictures: files of any size and format that Pillow reads, as the networks take them: uint8 (32, 32, 3), RGB.

Another size is squeezed to 32 x 32, with bicubic resampling over all pixels (antialiased). Nothing is cropped: the
objects of CIFAR-10 fill their images, so that what a crop cuts off may be what tells an airplane from a bird. EXIF's
orientation is followed, transparency is laid over white, of an animation the first frame counts, of 16 bits the upper
8; colour profiles are ignored.
"""

import contextlib
import importlib
import os
import re
import stat
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image, UnidentifiedImageError

from pipeline.core.errors import UserError
from pipeline.core.files import is_system_file
from pipeline.serving import metadata

SIDE = 32
LARGEST = 89_000_000  # pixels; 4 bytes each while they are read, and Pillow warns of more
DRAFT = 256  # pixels; of a larger JPEG an eighth, a quarter or half is decoded, at least so wide and high
# Pillow would run Ghostscript for EPS; it knows the others, but cannot read them.
UNREAD = {"EPS", "BUFR", "GRIB", "HDF5", "MPEG", "WMF"}
# Formats that Pillow reads by a plug-in where it is installed: its package, how a file begins, and suffixes.
PLUGINS = {
    "AVIF": ("pillow-avif-plugin", rb"....ftypavi[fs]", (".avif", ".avifs")),
    "HEIF": ("pillow-heif", rb"....ftyp(he[ivm][cxsm]|mif1|msf1)", (".heic", ".heics", ".heif", ".heifs", ".hif")),
    "JXL": ("pillow-jxl-plugin", rb"\xff\x0a|\0\0\0\x0cJXL ", (".jxl",)),
}


def _register() -> None:
    """Make Pillow know the formats whose plug-ins are installed, besides its own."""
    Image.init()
    for name, (package, _, _) in PLUGINS.items():
        if name in Image.ID:  # in newer Pillows
            continue
        with contextlib.suppress(Exception):  # not installed, or for another Pillow
            plugin = importlib.import_module(package.removesuffix("-plugin").replace("-", "_"))
            getattr(plugin, "register_heif_opener", lambda: None)()


_register()
FORMATS = [name for name in Image.ID if name not in UNREAD]
SUFFIXES = {suffix for suffix, name in Image.registered_extensions().items() if name in FORMATS}
SUFFIXES |= {suffix for _, _, suffixes in PLUGINS.values() for suffix in suffixes}
warnings.filterwarnings("ignore", module=r"PIL\.")  # of damage and of size: what counts is said here


class Unreadable(UserError):
    """A file is no picture to be read. The message is the reason, without the file's name."""


def walk(places: Iterable[Path]) -> Iterator[tuple[Path, bool]]:
    """Yield the files in `places`, which are files and folders, and whether they are taken for pictures.

    A file that is named is one whatever its suffix; in folders, and those in them, the suffix says so, and system files
    are left out. They are walked by name; links to folders are not followed. In memory are only the names in the
    folders that lead to a file.
    """
    waiting = [iter(places)]
    while waiting:
        named, path = len(waiting) == 1, next(waiting[-1], None)
        if path is None:
            waiting.pop()
        elif not os.path.isdir(path) or (path.is_symlink() and not named):  # noqa: PTH112  Path.is_dir may raise
            yield path, named or path.suffix.lower() in SUFFIXES
        else:
            try:
                names = sorted(inside.name for inside in path.iterdir() if not is_system_file(inside.name))
                waiting.append(map(path.joinpath, names))
            except OSError:
                yield path, True  # reading it says why it cannot be listed


def read(path: Path) -> np.ndarray:
    """The picture in a file, uint8 (32, 32, 3). Raises Unreadable."""
    try:
        if path.is_dir():
            next(path.iterdir(), None)  # which says why `walk` could not list it
        # A pipe does not keep it waiting for whoever would write into it.
        with open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK)) as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise Unreadable("is no regular file")
            return decode(file)
    except OSError as error:
        raise Unreadable((error.strerror or str(error)).lower()) from None


def decode(file: BinaryIO) -> np.ndarray:
    """The picture in an open file, uint8 (32, 32, 3). Raises Unreadable."""
    try:
        if metadata.is_laden(file):
            raise Unreadable(f"has EXIF in more than {metadata.MOST} parts")
        try:
            return _squeezed(file)
        except (Unreadable, Image.DecompressionBombError):
            raise
        except Exception:  # perhaps of metadata
            if (bare := metadata.strip(file)) is None:
                raise
            return _squeezed(*bare)
    except Unreadable:
        raise
    except UnidentifiedImageError:
        raise Unreadable(_unidentified(file)) from None
    except Image.DecompressionBombError:
        raise Unreadable(f"has more than {LARGEST / 1e6:.0f} million pixels") from None
    except Exception as error:  # decoders raise what they stumble over: struct's errors, MemoryError, others
        raise Unreadable(f"cannot be decoded: {str(error) or type(error).__name__}"[:300]) from None


def _squeezed(file: BinaryIO, exif: bytes = b"") -> np.ndarray:
    with Image.open(file, formats=FORMATS) as image:
        if image.width * image.height > LARGEST:
            raise Image.DecompressionBombError
        image.draft(None, (DRAFT, DRAFT))
        image.load()
        if exif:
            image.info["exif"] = exif
        return np.array(_rgb(metadata.upright(image)).resize((SIDE, SIDE), Image.Resampling.BICUBIC))


def _unidentified(file: BinaryIO) -> str:
    """Return why a file that no decoder takes is not read."""
    file.seek(0)
    begin = file.read(12)
    for name, (package, begins, suffixes) in PLUGINS.items():
        if name not in FORMATS and re.match(begins, begin, re.DOTALL):
            kind = suffixes[0].removeprefix(".").upper()
            return f"is {kind}, which Pillow reads by a plug-in: `pip install --upgrade {package}`"
    return "is no picture in a format that is read"


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode == "F":
        raise Unreadable("has floating-point numbers, of which it does not say how bright they are")
    if image.mode.startswith("I"):  # grey of 16 bits, which may be kept in 32
        values = np.asarray(image)
        if values.min() < 0 or values.max() > 0xFFFF:
            raise Unreadable("has numbers of 32 bits, of which it does not say how bright they are")
        grey = (values >> 8).astype("uint8")
        grey[values == image.info.get("transparency", -1)] = 255  # in a PNG file one grey may be transparent
        image = Image.fromarray(grey)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image.convert("RGB")
