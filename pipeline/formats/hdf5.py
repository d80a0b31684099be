"""HDF5 files that others may have written, looked through before anything in them is read.

A link or a virtual dataset would open other files, and where the file is in memory, crash the process. Arrays that are
packed, or not there at all, make gigabytes of a few kilobytes. Keras writes none of these for weights of float32; by an
attribute it marks those of bfloat16, which are refused, since their numbers are rounded after they were looked at.
"""

from pathlib import Path
from typing import BinaryIO

import h5py
import numpy as np

LARGEST = 2_000_000_000  # bytes of all arrays
DEEPEST = 30  # groups within groups; Keras nests an ensemble's weights 13 deep
MOST = 20_000  # groups and arrays
LONGEST = 8  # bytes of a number


def arrays(source: Path | BinaryIO) -> dict[str, np.ndarray]:
    """Return the arrays of the file by their paths in it.

    Raises ValueError if it is no HDF5 file, claims to hold more than it may, or has anything but arrays of its own.
    """
    try:
        with h5py.File(source) as file:
            found = _datasets(file)
            size = sum(dataset.nbytes for dataset in found.values())
            if size > LARGEST:
                raise ValueError(f"its weights are more than {LARGEST / 1e9:.0f} GB")
            if size > file.id.get_filesize():
                raise ValueError("its weights: they are not all in the file")
            return {name: np.asarray(dataset[()]) for name, dataset in found.items()}
    except (OSError, RuntimeError, LookupError, TypeError, UnicodeError) as error:
        raise ValueError(f"its weights: {error}") from None


def _datasets(file: h5py.File) -> dict[str, h5py.Dataset]:
    """Goes down a level at a time: HDF5's own visit would recurse, without end or until the process dies."""
    datasets, waiting, seen = {}, [("", file, 0)], 0
    while waiting:
        path, group, depth = waiting.pop()
        seen += len(group)
        if depth > DEEPEST or seen > MOST:
            raise ValueError(f"its weights: groups nested more than {DEEPEST} deep, or over {MOST} groups and arrays")
        for name in group:
            place = f"{path}{name}"
            place.encode()  # UnicodeEncodeError if it is no text
            if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                raise ValueError(f"its weights are elsewhere: {place} is a link")
            item = group[name]
            if h5py.h5o.get_info(item.id).rc > 1:
                raise ValueError(f"its weights: {place} has several names")
            if isinstance(item, h5py.Group):
                waiting.append((f"{place}/", item, depth + 1))
            elif isinstance(item, h5py.Dataset):
                _require_plain(item, place)
                datasets[place] = item
            else:
                raise ValueError(f"its weights: {place} is neither group nor array")
    return datasets


def _require_plain(dataset: h5py.Dataset, path: str) -> None:
    """Raise ValueError unless it is an array of numbers that lies in the file as it is."""
    if dataset.is_virtual or dataset.external:
        raise ValueError(f"its weights are elsewhere: {path} lies in another file")
    if dataset.shape is None or dataset.dtype.kind not in "iuf" or dataset.dtype.itemsize > LONGEST:
        raise ValueError(f"its weights: {path} holds no numbers")
    if dataset.chunks is not None:
        raise ValueError(f"its weights: {path} is stored in pieces, which may be packed")
    if len(dataset.attrs):
        raise ValueError(f"its weights: {path} has attributes, by which its numbers may be read as others")
