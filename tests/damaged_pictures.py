"""Pictures with sound pixels and damaged metadata, made by seeded scripts."""

import io
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from random import Random

import numpy as np
from PIL import Image

ORIENTATION = 0x0112
HEAD = b"Exif\0\0"
SIGNATURE = b"\x89PNG\r\n\x1a\n"


def chunk(kind: bytes, content: bytes) -> bytes:
    """A chunk of a PNG file."""
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def segment(marker: int, content: bytes) -> bytes:
    """A segment of a JPEG file."""
    return struct.pack(">BBH", 0xFF, marker, 2 + len(content)) + content


def seeded(seed: int | str) -> Random:
    return Random(seed)  # noqa: S311  pictures are no secrets


def photo(seed: int) -> Image.Image:
    """A picture without symmetry, smooth enough for JPEG."""
    random = np.random.default_rng(seed)
    corners = random.integers(0, 256, (3, 4, 3), "uint8")
    return Image.fromarray(corners).resize((40, 24), Image.Resampling.BICUBIC)


def saved(form: str, image: Image.Image) -> bytes:
    """A file without metadata."""
    file = io.BytesIO()
    image.save(file, form)
    return file.getvalue()


def inserted(form: str, content: bytes, extra: bytes, late: bool = False) -> bytes:
    """A file with chunks or segments more: after its header, or `late`, before its end (PNG) or its pixels (JPEG)."""
    early, end = (2, content.index(b"\xff\xda")) if form == "JPEG" else (33, len(content) - 12)
    place = end if late else early
    return content[:place] + extra + content[place:]


def with_exif(form: str, content: bytes, exif: bytes, late: bool = False) -> bytes:
    return inserted(form, content, segment(0xE1, HEAD + exif) if form == "JPEG" else chunk(b"eXIf", exif), late)


@dataclass(frozen=True)
class Exif:
    """EXIF as a camera writes it: tags in the first directory, two directories below it, and a thumbnail's.

    `tags` has type, count and value: four bytes, or more that lie behind the directory.
    """

    order: str
    orientation: int
    tags: dict[int, tuple[int, int, bytes]]

    @classmethod
    def drawn(cls, random: Random) -> "Exif":
        order, orientation = random.choice("<>"), random.randint(1, 8)
        ratio = struct.pack(f"{order}LL", 72, 1)
        tags = {
            0x010F: (2, 12, b"Camera Inc.\0"),
            ORIENTATION: (3, 1, struct.pack(f"{order}HH", orientation, 0)),
            0x011A: (5, 1, ratio),
            0x011B: (5, 1, ratio),
            0x0128: (3, 1, struct.pack(f"{order}HH", 2, 0)),
            0x0132: (2, 20, b"2026:11:30 12:00:00\0"),
            0x8769: (4, 1, struct.pack(f"{order}L", 300)),
            0x8825: (4, 1, struct.pack(f"{order}L", 330)),
        }
        return cls(order, orientation, tags)

    def changed(
        self, tag: int, kind: int | None = None, count: int | None = None, value: bytes | None = None
    ) -> "Exif":
        before = self.tags[tag]
        after = tuple(old if new is None else new for old, new in zip(before, (kind, count, value), strict=True))
        return replace(self, tags=self.tags | {tag: after})

    def number(self, value: int) -> bytes:
        return struct.pack(f"{self.order}L", value)

    @property
    def entry(self) -> int:
        """Where the orientation's entry begins."""
        return 10 + 12 * sorted(self.tags).index(ORIENTATION)

    @property
    def content(self) -> bytes:
        behind, data = 10 + 12 * len(self.tags) + 4, b""
        directory = struct.pack(f"{self.order}H", len(self.tags))
        for tag in sorted(self.tags):
            kind, count, value = self.tags[tag]
            if len(value) > 4:
                data, value = data + value, self.number(behind + len(data))
            directory += struct.pack(f"{self.order}HHL", tag, kind, count) + value.ljust(4, b"\0")
        begin = (b"II" if self.order == "<" else b"MM") + struct.pack(f"{self.order}HL", 42, 8)
        whole = (begin + directory + self.number(360) + data).ljust(300, b"\0")
        inner = struct.pack(f"{self.order}H HHL", 1, 0xA002, 4, 1) + self.number(40) + self.number(0)
        return whole + inner.ljust(30, b"\0") * 2 + inner


Damage = Callable[[Exif, Random], tuple[bytes, int]]  # what the file then has, and the orientation that can be read


def flipped(exif: Exif, random: Random) -> tuple[bytes, int]:
    """A dozen bytes are others, but for those that lead to the orientation."""
    content = bytearray(exif.content)
    places = {*range(10, len(content))} - {*range(exif.entry, exif.entry + 12)}
    for place in random.sample(sorted(places), 12):
        content[place] = random.randrange(256)
    return bytes(content), exif.orientation


def cut(exif: Exif, random: Random) -> tuple[bytes, int]:
    length = random.randrange(len(exif.content))
    return exif.content[:length], exif.orientation if length >= exif.entry + 12 else 1


EXIF: dict[str, Damage] = {
    "text in its place": lambda exif, random: (b"no EXIF, but a text of somebody's\n" * random.randint(1, 9), 1),
    "nothing in its place": lambda exif, random: (b"", 1),
    "noise in its place": lambda exif, random: (random.randbytes(300), 1),
    "noise behind the header": lambda exif, random: (exif.content[:8] + random.randbytes(300), 1),
    "cut off": cut,
    "a dozen bytes are others": flipped,
    "a directory that begins behind the end": lambda exif, random: (
        exif.content[:4] + exif.number(random.choice([400, 0xFFFF, 0xFFFFFFFF])) + exif.content[8:],
        1,
    ),
    "a directory that ends behind the end": lambda exif, random: (
        exif.content[:8] + struct.pack(f"{exif.order}H", 0xFFFF) + exif.content[10:],
        exif.orientation,
    ),
    "an orientation that is none": lambda exif, random: (
        exif.changed(ORIENTATION, value=struct.pack(f"{exif.order}HH", random.choice([0, 9, 90, 65535]), 0)).content,
        1,
    ),
    "an orientation in words": lambda exif, random: (
        exif.changed(ORIENTATION, kind=2, count=9, value=b"top left\0").content,
        1,
    ),
    "tags of odd types": lambda exif, random: (
        exif.changed(random.choice([0x010F, 0x011A, 0x8769]), kind=random.choice([0, 3, 11, 12, 99, 65535])).content,
        exif.orientation,
    ),
    "values behind the end": lambda exif, random: (
        exif.changed(
            0x010F, count=random.choice([90, 5000]), value=exif.number(random.randint(300, 2**32 - 1))
        ).content,
        exif.orientation,
    ),
    "values without end": lambda exif, random: (
        exif.changed(random.choice([0x010F, 0x011A, 0x0132]), count=random.randint(2**30, 2**32 - 1)).content,
        exif.orientation,
    ),
    "directories below that are none": lambda exif, random: (
        exif.changed(
            random.choice([0x8769, 0x8825]), value=exif.number(random.choice([8, 359, 2**31, 2**32 - 1]))
        ).content,
        exif.orientation,
    ),
    "a resolution that is no number": lambda exif, random: (
        exif.changed(0x011A, value=bytes(8)).changed(0x0128, count=random.choice([0, 2])).content,
        exif.orientation,
    ),
}


def unpacked_to(size: int) -> bytes:
    return zlib.compress(bytes(size), 9)


MPF = b"MPF\0II*\0\x08\0\0\0"
OTHER = {  # format of the file, and what is inserted
    "a text with a wrong checksum": ("PNG", chunk(b"tEXt", b"Comment\0a text")[:-1] + b"?"),
    "a text of 20 MB, packed in 20 kB": ("PNG", chunk(b"zTXt", b"Comment\0\0" + unpacked_to(20_000_000))),
    "an international text of 5 MB, packed": ("PNG", chunk(b"iTXt", b"Comment\0\1\0\0\0" + unpacked_to(5_000_000))),
    "a text packed in an unknown way": ("PNG", chunk(b"zTXt", b"Comment\0\5" + unpacked_to(5))),
    "a text whose key is one of Pillow's own": ("PNG", chunk(b"tEXt", b"interlace\0a text")),
    "a colour profile of 5 MB, packed": ("PNG", chunk(b"iCCP", b"name\0\0" + unpacked_to(5_000_000))),
    "a colour profile without a name": ("PNG", chunk(b"iCCP", b"")),
    "a resolution cut off": ("PNG", chunk(b"pHYs", b"\0")),
    "a white point cut off": ("PNG", chunk(b"cHRM", b"\0")),
    "an animation without frames": ("PNG", chunk(b"acTL", b"\0")),
    "a frame outside of the picture": ("PNG", chunk(b"fcTL", struct.pack(">LLLLL", 0, 99, 99, 9, 9) + bytes(6))),
    "a thumbnail's header": ("JPEG", segment(0xE0, b"JFIF")),
    "Adobe's colours cut off": ("JPEG", segment(0xEE, b"Adobe")),
    "Photoshop's settings cut off": ("JPEG", segment(0xED, b"Photoshop 3.0\0008BIM\0\1")),
    "a part of a colour profile without its number": ("JPEG", segment(0xE2, b"ICC_PROFILE\0")),
    "a part of a colour profile that has no others": ("JPEG", segment(0xE2, b"ICC_PROFILE\0\1\5profile")),
    "further pictures (MPF) that are a text": ("JPEG", segment(0xE2, b"MPF\0further pictures")),
    "further pictures (MPF) without a number": ("JPEG", segment(0xE2, MPF + b"\1\0")),
    "XMP that is none": ("JPEG", segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0\xff\xfe<x")),
    "bytes between the segments": ("JPEG", b"junk"),
}
