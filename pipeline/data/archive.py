"""Tar archives, read without being unpacked."""

import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from pipeline.data.download import Unreachable

UNPACKED = 400_000_000  # bytes: more than an archive of CIFAR-10 holds


def read_members(archive: Path) -> Iterator[tuple[str, IO[bytes]]]:
    """Yield name and content of the plain files of a .tar.gz.

    Raises Unreachable before more than UNPACKED bytes come out.
    """
    try:
        with tarfile.open(archive) as tar:
            for member in tar:
                if member.offset_data + member.size > UNPACKED:
                    raise Unreachable(f"unpacks to more than {UNPACKED / 1e6:.0f} MB")
                file = tar.extractfile(member) if member.isfile() else None
                if file is not None:
                    yield member.name, file
    except tarfile.ReadError as error:  # whose other lines say of each compression that it is not
        raise Unreachable(f"is no sound tar archive: {str(error).partition(chr(10))[0].rstrip(':')}") from None
