"""Weights in HDF5 that the project must refuse: what is put beside a small model's own, or in their place."""

import zlib
from collections.abc import Callable

import h5py
import numpy as np

KERNEL = "layers/dense/vars/0"  # in the model's weights


def virtual(file: h5py.File) -> None:
    """An array whose numbers are another file's."""
    layout = h5py.VirtualLayout((10,), "u1")
    layout[:] = h5py.VirtualSource("/etc/passwd", "x", shape=(10,))
    file.create_virtual_dataset("x", layout)


def _nested(file: h5py.File, count: int) -> None:
    """Groups within groups, linked from the outside in, which is quick."""
    inner = file.create_group("inner")
    for number in range(count):
        outer = file.create_group(f"outer{number}")
        outer["x"] = inner
        del file[inner.name]
        inner = outer


def _packed(file: h5py.File) -> None:
    """An array of 40 bytes that unpacks to 50 million."""
    array = file.create_dataset("x", (10,), "f4", chunks=(10,), compression="gzip")
    array.id.write_direct_chunk((0,), zlib.compress(bytes(50_000_000)))


def _many_names(file: h5py.File) -> None:
    """An array under 50,000 names."""
    array = file.create_dataset("x", data=np.zeros(10_000, "f4"))
    for number in range(50_000):
        file[str(number)] = array


def _other_shape(file: h5py.File) -> None:
    del file[KERNEL]
    file[KERNEL] = np.zeros((3, 3), "f4")


# Each is what is done to the file, by what is wrong with weights then.
WRONG: dict[str, Callable[[h5py.File], object]] = {
    "that claim a terabyte": lambda file: file.create_dataset("x", (250_000_000_000,), "f4"),
    "that are not in the file": lambda file: file.create_dataset("x", (100_000_000,), "f4"),
    "that are each a million": lambda file: file.create_dataset("x", (), np.dtype(("f4", (1000, 1000)))),
    "that unpack to more than they say": _packed,
    "to be read as numbers of another type": lambda file: file[KERNEL].attrs.update({"dtype": "bfloat16"}),
    "that lie in another file": lambda file: file.create_dataset("x", (10,), "u1", external=[("/etc/passwd", 0, 10)]),
    "behind a link to another file": lambda file: file.update({"x": h5py.ExternalLink("/etc/passwd", "/")}),
    "behind a link to nowhere": lambda file: file.update({"x": h5py.SoftLink("/nowhere")}),
    "nested 20,000 deep": lambda file: _nested(file, 20_000),
    "under 50,000 names": _many_names,
    "under two names": lambda file: file.update({"y": file.create_dataset("x", data=np.zeros(3, "f4"))}),
    "that hold themselves": lambda file: file.create_group("x").update({"y": file["x"]}),
    "that show another file's": virtual,
    "that are none": lambda file: file.update({"x": h5py.Empty("f4")}),
    "that are bytes": lambda file: file.create_dataset("x", data=np.array([b"1.5"])),
    "that are records": lambda file: file.create_dataset("x", data=np.zeros(3, "f4,f4")),
    "that are but a type": lambda file: file.update({"x": np.dtype("f4")}),
    "that are words": lambda file: file.create_dataset("x", data=["word"], dtype=h5py.string_dtype()),
    "of other shapes": _other_shape,
}
