"""What a run without a network would need, and what is missing of it."""

import contextlib
import os

from pipeline.core import paths
from pipeline.core.environment import OFFLINE
from pipeline.core.schema import Params, Source
from pipeline.data import cifar10, sources, weights


def look(params: Params) -> tuple[list[str], bool]:
    """A line for the data and one for each architecture, and whether `dvc repro` would run without a network.

    What is missing is said with its checksum and where to put it. Nothing is downloaded, from now on in this process.
    """
    os.environ[OFFLINE] = "1"
    line, ready = _data(params)
    lines, optional = [line], params.weights.on_unreachable == "skip"
    for name, model in params.models.items():
        with contextlib.redirect_stdout(None):  # which would say of each file that it was not asked for
            found = weights.find(name, params)
        need = found.get("file") or found.get("reason") or "needs no weights"
        if found["status"] == "skipped":
            files = " or ".join(f"{entry.file} ({' '.join(entry.checksum)})" for entry in model.weights)
            need = f"weights missing, it {'is skipped' if optional else 'stops the run'}: put {files} into "
            need += f"{weights.folder(params)}, or set {weights.ENVIRONMENT} to their folder"
        lines.append(f"{name}: {need}")
        ready &= found["status"] in ("none", "ready") or (found["status"] == "skipped" and optional)
    return lines, ready


def _data(params: Params) -> tuple[str, bool]:
    if not cifar10.faults(paths.RAW, cifar10.BATCHES):
        return f"CIFAR-10: complete in {paths.RAW}", True
    given: list[Source] = [source for source in params.data.sources if source.type == "local"]
    reasons = []
    for name, batches in sources.attempts(sources.choose(given), params.http):
        if (reason := sources.receive(batches)) is None:
            return f"CIFAR-10: in {name.removeprefix('local ')}", True
        reasons.append(f"{name}: {reason}")
    batch_files = ", ".join(f"{name} (MD5 {digest})" for name, digest in cifar10.BATCHES.items())
    archives = f"cifar-10-binary.tar.gz (MD5 {sources.ARCHIVE_MD5}), cifar-10-python.tar.gz (MD5 {sources.PYTHON_MD5})"
    wanted = f"{archives}, a folder of either, or one with {batch_files}, somewhere"
    found = f" ({'; '.join(reasons)})" if reasons else ""
    return f"CIFAR-10: missing: put {wanted} and set {sources.ENVIRONMENT} to it{found}", False
