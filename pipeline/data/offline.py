"""What a run without a network would need, and what is missing of it."""

import contextlib
import os
from pathlib import Path

from pipeline.core import paths
from pipeline.core.environment import OFFLINE
from pipeline.core.files import checksum
from pipeline.core.schema import Params
from pipeline.data import cifar10, sources, weights


def look(params: Params) -> tuple[list[str], bool]:
    """A line for the data and one for each architecture, and whether `dvc repro` would run without a network.

    What is missing is said with its checksum and where to put it. Nothing is downloaded, from now on in this process.
    """
    os.environ[OFFLINE] = "1"
    line, ready = _data(params)
    lines = [line]
    for name, model in params.models.items():
        with contextlib.redirect_stdout(None):  # which would say of each file that it was not asked for
            found = weights.find(name, params)
        lines.append(f"{name}: {_weights(found) if found['status'] != 'skipped' else _wanted(model.weights, params)}")
        ready &= found["status"] != "refused"
        ready &= found["status"] != "skipped" or params.weights.on_unreachable == "skip"
    return lines, ready


def _data(params: Params) -> tuple[str, bool]:
    if not cifar10.faults(paths.RAW, cifar10.BATCHES):
        return f"CIFAR-10: complete in {paths.RAW}", True
    named = os.environ.get(sources.ENVIRONMENT)
    places = [named] if named else [source.path for source in params.data.sources if source.type == "local"]
    for place in map(paths.shared, map(Path, places)):
        if place.is_dir() and (any(place.glob("*.parquet")) or not cifar10.faults(place, cifar10.BATCHES)):
            return f"CIFAR-10: in {place}", True
        if place.is_file() and checksum(place, "md5") == sources.ARCHIVE_MD5:
            return f"CIFAR-10: {place}", True
    wanted = ", ".join(f"{name} (MD5 {digest})" for name, digest in cifar10.BATCHES.items())
    return (
        f"CIFAR-10: missing: put cifar-10-binary.tar.gz (MD5 {sources.ARCHIVE_MD5}), or a folder with {wanted}, "
        f"somewhere and set {sources.ENVIRONMENT} to it",
        False,
    )


def _weights(found: dict) -> str:
    if found["status"] == "none":
        return "needs no weights"
    return f"{found['file']}" if found["status"] == "ready" else found["reason"]


def _wanted(known: list, params: Params) -> str:
    files = " or ".join(f"{entry.file} ({entry.algorithm} {entry.digest})" for entry in known)
    then = "is skipped" if params.weights.on_unreachable == "skip" else "stops the run"
    place = weights.folder(params)
    return f"weights missing, it {then}: put {files} into {place}, or set {weights.ENVIRONMENT} to their folder"
