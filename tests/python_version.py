"""CIFAR-10's Python version, made of the binary one: pickled as Python 2's cPickle did it, in the official layout."""

import os
import struct
import tarfile
from pathlib import Path

import numpy as np

from pipeline.data import cifar10

NAME = "cifar-10-batches-py"


def batch(path: Path) -> tuple[np.ndarray, list[int]]:
    """Planes (10000, 3072) and labels of a binary batch."""
    records = np.fromfile(path, "uint8").reshape(-1, cifar10.RECORD)
    return np.ascontiguousarray(records[:, 1:]), records[:, 0].tolist()


class Writer:
    """What cPickle writes with protocol 2: byte strings, and a memo that counts from 1."""

    def __init__(self) -> None:
        self.parts, self.count = [b"\x80\x02"], 0

    def add(self, *parts: bytes, memo: bool = False) -> None:
        self.parts += parts
        if memo:
            self.count += 1
            self.parts.append(b"q%c" % self.count if self.count < 256 else b"r" + struct.pack("<I", self.count))

    def string(self, text: bytes) -> None:
        short = len(text) < 256
        self.add((b"U%c" % len(text)) if short else b"T" + struct.pack("<i", len(text)), text, memo=True)

    def items(self, values: list, write) -> None:
        """A list, a thousand items at a time."""
        self.add(b"]", memo=True)
        for start in range(0, len(values), 1000):
            self.add(b"(")
            for value in values[start : start + 1000]:
                write(value)
            self.add(b"e")


def pickled(planes: np.ndarray, labels: list[int]) -> bytes:
    """A batch with what the official ones have."""
    writer = Writer()
    writer.add(b"}", memo=True)
    writer.add(b"(")
    writer.string(b"batch_label")
    writer.string(b"training batch 1 of 5")
    writer.string(b"labels")
    writer.items(labels, lambda label: writer.add(b"K%c" % label))
    writer.string(b"data")
    writer.add(b"cnumpy.core.multiarray\n_reconstruct\n", memo=True)
    writer.add(b"cnumpy\nndarray\n", memo=True)
    writer.add(b"K\0\x85", memo=True)
    writer.string(b"b")
    writer.add(b"\x87", memo=True)
    writer.add(b"R", memo=True)
    writer.add(b"(K\x01M" + struct.pack("<H", planes.shape[0]) + b"M" + struct.pack("<H", planes.shape[1]) + b"\x86")
    writer.add(b"", memo=True)
    writer.add(b"cnumpy\ndtype\n", memo=True)
    writer.string(b"u1")
    writer.add(b"K\0K\x01\x87", memo=True)
    writer.add(b"R", memo=True)
    writer.add(b"(K\x03")
    writer.string(b"|")
    writer.add(b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\0t", memo=True)
    writer.add(b"b\x89")
    writer.string(planes.tobytes())
    writer.add(b"t", memo=True)
    writer.add(b"b")
    writer.string(b"filenames")
    writer.items([b"picture_s_%06d.png" % number for number in range(len(labels))], writer.string)
    writer.add(b"u.")
    return b"".join(writer.parts)


def write(raw: Path, folder: Path) -> Path:
    """Write the six batches into `folder`/cifar-10-batches-py, and return that."""
    made = folder / NAME
    made.mkdir(parents=True)
    (made / "batches.meta").write_bytes(b"\x80\x02}.")
    for name in cifar10.BATCHES:
        (made / Path(name).stem).write_bytes(pickled(*batch(raw / name)))
    return made


def link(folder: Path, target: Path) -> Path:
    """Give the files of a folder a second name in another one."""
    target.mkdir(parents=True)
    for path in folder.iterdir():
        os.link(path, target / path.name)
    return target


def archive(folder: Path, path: Path) -> Path:
    """Put a folder into an archive that is gzip's by its format, and not compressed, which would take long."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w:gz", compresslevel=0) as tar:
        tar.add(folder, folder.name)
    return path
