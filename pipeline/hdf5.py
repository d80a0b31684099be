"""HDF5 files that others may have written, looked through before anything in them is read.

A link or a virtual dataset would open other files, and where the file is in memory, crash the process.
"""

from pathlib import Path
from typing import BinaryIO

import h5py
import numpy as np

LARGEST = 2_000_000_000  # bytes of all arrays


def arrays(source: Path | BinaryIO) -> dict[str, np.ndarray]:
    """Return the arrays of the file by their paths in it.

    Raises ValueError if it is no HDF5 file, claims to hold more than it may, or has anything but arrays of its own.
    """
    try:
        with h5py.File(source) as file:
            found = _datasets(file)
            if sum(dataset.nbytes for dataset in found.values()) > LARGEST:
                raise ValueError(f"its weights are more than {LARGEST / 1e9:.0f} GB")
            return {name: dataset[()] for name, dataset in found.items()}
    except (OSError, RuntimeError, LookupError, TypeError, UnicodeDecodeError) as error:
        raise ValueError(f"its weights: {error}") from None


def _datasets(file: h5py.File) -> dict[str, h5py.Dataset]:
    links = {}
    # Bytes, and checked afterwards: an exception in the callback would become a SystemError.
    file.id.links.visit(lambda name, link: links.update({name: link.type}), info=True)
    for name, kind in links.items():
        if kind != h5py.h5l.TYPE_HARD:
            raise ValueError(f"its weights are elsewhere: {name.decode()} is a link")
    items = {name.decode(): file[name] for name in links}
    datasets = {name: item for name, item in items.items() if isinstance(item, h5py.Dataset)}
    for name, dataset in datasets.items():
        if dataset.is_virtual or dataset.external:
            raise ValueError(f"its weights are elsewhere: {name} lies in another file")
        if dataset.shape is None or dataset.dtype.hasobject:
            raise ValueError(f"its weights: {name} holds no numbers")
    return datasets
