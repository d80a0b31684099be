"""What a picture's file says besides its pixels. Only the orientation is looked at; all of it may be damaged."""

import io
import struct
from typing import BinaryIO

from PIL import ExifTags, Image

LARGEST = 400_000_000  # bytes of a file that is read into memory
BLOCK = 1 << 20  # bytes that are searched at a time
MOST = 100  # parts of EXIF in a file; a camera writes one, of up to 64 KB
PNG, JPEG, AVIF, EXIF = b"\x89PNG\r\n\x1a\n", b"\xff\xd8", b"ftypavi", b"Exif\0\0"
NUMBERS = {1: "B", 3: "H", 4: "L"}  # the types of a TIFF tag that an orientation may have, as `struct` names them
UPRIGHT = 1
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def upright(image: Image.Image) -> Image.Image:
    """Return a decoded picture, turned as its orientation says; not turned if that is missing or faulty."""
    exif = image.info.get("exif")
    value = _orientation(exif) if isinstance(exif, bytes) else None
    if value is None:
        try:
            value = image.getexif().get(ExifTags.Base.Orientation)  # perhaps in XMP, or as text
        except Exception:  # Pillow raises whatever it stumbles over; the pixels are there already
            value = None
    return image.transpose(TURNS[value]) if isinstance(value, int) and value in TURNS else image


def _orientation(exif: bytes) -> int | None:
    """Return the orientation in EXIF's first directory, whatever else is damaged there; None if it has none.

    Pillow reads no tags after one whose value is not there. Layout: EXIF 3.0, 4.6.2.
    """
    tiff = exif.removeprefix(EXIF)
    try:
        order = {b"II": "<", b"MM": ">"}[tiff[:2]]
        (first,) = struct.unpack_from(f"{order}L", tiff, 4)
        (count,) = struct.unpack_from(f"{order}H", tiff, first)
        for place in range(first + 2, first + 2 + 12 * count, 12):
            tag, kind = struct.unpack_from(f"{order}HH", tiff, place)
            if tag == ExifTags.Base.Orientation:
                return int(*struct.unpack_from(order + NUMBERS[kind], tiff, place + 8))
    except (KeyError, struct.error):
        pass
    return None


def strip(file: BinaryIO) -> tuple[BinaryIO, bytes] | None:
    """Return a PNG, JPEG or AVIF file without metadata, and the EXIF content; None for another format, or a huge file.

    Pillow reads no picture in which it cannot read all metadata.
    """
    if file.seek(0, io.SEEK_END) > LARGEST:
        return None
    file.seek(0)
    content = file.read()
    if content.startswith(PNG):
        kept, exif = _png(content)
    elif content.startswith(JPEG):
        kept, exif = _jpeg(content)
    elif content[4:].startswith(AVIF):
        kept, exif = [content.replace(EXIF[:4], b"none")], b""  # libavif reads no item of this type
    else:
        return None
    return io.BytesIO(b"".join(kept)), exif


def is_laden(file: BinaryIO) -> bool:
    """Return whether a JPEG file has EXIF in more than MOST parts: to join them takes Pillow quadratic time."""
    file.seek(0)
    is_jpeg = file.read(len(JPEG)) == JPEG
    parts = sum(block.count(EXIF) for block in iter(lambda: file.read(BLOCK), b"")) if is_jpeg else 0
    file.seek(0)
    return parts > MOST


def _png(content: bytes) -> tuple[list[bytes], bytes]:
    """Return the chunks that make the pixels, the signature first, and the content of eXIf."""
    kept, exif, place = [PNG], b"", len(PNG)
    while place + 8 <= len(content):
        length, kind = struct.unpack_from(">L4s", content, place)
        end = place + 12 + length
        if kind[:1].isupper() or kind == b"tRNS":  # critical, or transparency
            kept.append(content[place:end])
        elif kind == b"eXIf":
            exif = content[place + 8 : end - 4]
        place = end
    return kept, exif


def _jpeg(content: bytes) -> tuple[list[bytes], bytes]:
    """Return the segments that make the pixels, and the content of EXIF."""
    kept, exif, place = [JPEG], [b""], len(JPEG)
    while (place := content.find(b"\xff", place)) >= 0 and place + 4 <= len(content):
        marker, length = struct.unpack_from(">BH", content, place + 1)
        if marker == 0xFF:  # a fill byte
            place += 1
            continue
        if marker == 0xDA:  # the pixels begin
            kept.append(content[place:])
            break
        end = place + 2 + length
        payload = content[place + 4 : end]
        if marker == 0xE1 and payload.startswith(EXIF):
            exif.append(payload.removeprefix(EXIF))
        # Of application data, JFIF and Adobe (at least 12 bytes) say which colours the numbers are.
        if (marker in (0xE0, 0xEE) and len(payload) >= 12) or not (0xE0 <= marker <= 0xEF or marker == 0xFE):
            kept.append(content[place:end])
        place = end
    return kept, b"".join(exif)
