"""Stage `weights@ARCH`: the ImageNet weights that `find` found, or the record of why there are none."""

from pathlib import Path

from pipeline.core import environment, errors, paths
from pipeline.core.files import checksum, copy, list_files, own_folder, read_json, write_json
from pipeline.core.schema import Params
from pipeline.data import weights


def main() -> None:
    name, params = environment.check_model()
    found = read_json(paths.FOUND / f"{name}.json")
    install(name, found, params)
    print(f"{name}: {found['status']}")


def install(name: str, found: dict, params: Params) -> None:
    """Make the architecture's folder hold the file that `find` found, if any, and its manifest, and nothing else.

    Raises UserError if the file was refused or is no longer where it was found, and, if params.weights.on_unreachable
    is `fail`, if no source gave it. What was installed before then stays.
    """
    if found["status"] == "refused":
        raise errors.UserError(found["reason"])
    if found["status"] == "skipped" and params.weights.on_unreachable == "fail":
        files = " or ".join(entry.file for entry in params.models[name].weights)
        remedy = f"put {files} into a folder and set {weights.ENVIRONMENT} to it"
        raise errors.UserError(f"{name}: no weights: {remedy}; `dvc repro find` says why none could be downloaded")
    folder = own_folder(paths.WEIGHTS / name)
    if found["status"] == "ready":
        _bring(found, folder / found["file"], params)
    write_json(folder / "manifest.json", found)
    for stale in list_files(folder):
        if stale.name not in ("manifest.json", found.get("file")):
            stale.unlink()


def _bring(found: dict, installed: Path, params: Params) -> None:
    downloaded = paths.DOWNLOADS / found["file"]
    for path in (installed, weights.folder(params) / found["file"], downloaded):
        if not path.is_file() or checksum(path) != found["sha256"]:
            continue
        if path == downloaded:
            path.replace(installed)
        elif path != installed:
            errors.require_space(installed.parent, path.stat().st_size)
            copy(path, installed)
        return
    raise errors.UserError(f"{found['file']} is no longer where it was found: run `dvc repro` again")
