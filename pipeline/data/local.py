"""CIFAR-10 on this machine: where it may lie, and the forms in which it is read."""

import os
import re
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import IO

from pipeline import core
from pipeline.core import paths
from pipeline.core.files import is_system_file, list_files
from pipeline.data import parquet, pickle_batch
from pipeline.data.archive import read_members
from pipeline.data.cifar10 import BATCHES, RECORD
from pipeline.data.download import Unreachable

Batch = tuple[str, bytes]  # an official file's name and content
Reader = Callable[[Path], Iterator[Batch]]

PICKLES = {Path(name).stem: name for name in BATCHES}  # names in the Python version
ARCHIVE = re.compile(r"cifar-?10(?!\d).*(\.tar(\.\w+)?|\.tgz|_archive)", re.IGNORECASE)  # the last is Keras' name
KINDS = "data_batch_1.bin, data_batch_1, train*.parquet, cifar-10-binary.tar.gz and cifar-10-python.tar.gz"
DEPTH = 3  # folders below the one that is named, as from ~/.keras to the batches of Keras 3
ENTRIES = 10_000  # files and folders that are looked at
LARGEST = 10_000 * RECORD + 1  # bytes of a binary batch: of a longer one the checksum is wrong


def find_usual() -> list[Path]:
    """Return what has the data set in `data`, in Keras' folder of data sets and in ~/data, but for Parquet files."""
    keras = [f"{home}/datasets" for home in (core.KERAS_HOME, "~/.keras") if home]
    found = [each for place in ("data", *keras, "~/data") for each in find(paths.shared(place))]
    own = {paths.RAW.resolve(), paths.DOWNLOADS.resolve()}  # perhaps incomplete
    # A Parquet file's name says nothing: it may be any table, and all of it would be read before that is known.
    others = [path for path, read in found if read is not _from_parquet]
    return [path for path in others if own.isdisjoint((path.resolve(), *path.resolve().parents))]


def find(place: Path) -> list[tuple[Path, Reader]]:
    """Return what may have the data set, nearest first, and what reads it: `place`, or files and folders below it."""
    if place.is_file():
        return [(place, from_archive)]
    found: list[tuple[Path, Reader]] = []
    waiting, left = [(place, 0)], ENTRIES
    for folder, depth in waiting:
        try:
            with os.scandir(folder) as entries:
                seen = sorted(islice(entries, left), key=lambda entry: entry.name)
            inside = [entry for entry in seen if not is_system_file(entry.name)]
            files = [entry.name for entry in inside if entry.is_file()]
            folders = [entry.name for entry in inside if entry.is_dir()]
        except OSError:  # no folder, or none that may be read
            continue
        left -= len(seen)
        readers = ((BATCHES, _from_folder), (PICKLES, _from_pickles))
        found += [(folder, read) for names, read in readers if not names.keys().isdisjoint(files)]
        found += [(folder, _from_parquet)] * any(name.endswith(".parquet") for name in files)
        found += [(folder / name, from_archive) for name in files if ARCHIVE.fullmatch(name)]
        if depth < DEPTH:
            waiting += [(folder / name, depth + 1) for name in folders]
    return found


def missing(place: Path) -> str:
    """Return why `find` has found nothing."""
    if not place.exists():
        return "does not exist"
    if not os.access(place, os.R_OK | os.X_OK):
        return "permission denied"
    return f"has no CIFAR-10, nor have the folders in it ({DEPTH} deep): looked for {KINDS}"


def from_archive(path: Path) -> Iterator[Batch]:
    """The batches of an archive, by base name; nothing is written under a name that the archive chose."""
    names = []
    for member, file in read_members(path):
        name = Path(member).name
        names.append(name)
        if name in BATCHES:
            yield name, file.read(LARGEST)
        elif name in PICKLES:
            yield _unpickle(name, file)
    if {*BATCHES, *PICKLES}.isdisjoint(names):
        raise Unreachable(f"has no CIFAR-10, but {', '.join(names[:3]) or 'no file'}")


def _from_folder(folder: Path) -> Iterator[Batch]:
    for path in (folder / name for name in BATCHES):
        if path.is_file():
            with path.open("rb") as file:
                yield path.name, file.read(LARGEST)


def _from_pickles(folder: Path) -> Iterator[Batch]:
    for path in (folder / name for name in PICKLES):
        if path.is_file():
            with path.open("rb") as file:
                yield _unpickle(path.name, file)


def _unpickle(name: str, file: IO[bytes]) -> Batch:
    return PICKLES[name], pickle_batch.to_binary(name, file.read(pickle_batch.LARGEST + 1))


def _from_parquet(folder: Path) -> Iterator[Batch]:
    yield from parquet.batches(*(_only(folder, f"{split}*.parquet") for split in ("train", "test")))


def _only(folder: Path, pattern: str) -> Path:
    found = list_files(folder, pattern)
    if len(found) != 1:
        raise Unreachable(f"has {len(found)} files {pattern}: one is needed")
    return found[0]
