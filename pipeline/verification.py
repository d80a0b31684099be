"""Where a model comes from, and what came of a stage: every link between registry, run, commit and files, verified."""

import hashlib
import re
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from pipeline import cifar10, locked, manifest, model_file, paths, registry, runs, tracking
from pipeline.errors import UserError
from pipeline.files import checksum, read_json
from pipeline.locked import Broken


def trace(subject: str, model: str) -> Iterator[tuple[int, str]]:
    """Follow the links from `subject`, verifying each; yield a line and how deep it is indented, as they hold.

    `subject`: a version, alias (`@champion`) or stage (`Production`) of the registered `model`; a run's id; a stage of
    dvc.lock (`train@custom_cnn`) or dvc.lock itself; a .keras file. Raises Broken at the first link that does not hold.
    """
    seen: set[str] = set()  # stages that are verified
    if subject == str(locked.LOCK):
        for name in ["ensemble", *(name for name in locked.stages() if name.startswith("train@"))]:
            yield from _stage(name, model, seen)
    elif subject in locked.stages():
        yield from _stage(subject, model, seen)
    elif subject.endswith(".keras"):
        yield from _file(Path(subject), model, seen)
    elif re.fullmatch("[0-9a-f]{32}", subject):
        yield from _run(subject, 0, seen)
        yield from _versions(subject, model)
    else:
        yield from _version(registry.resolve(model, subject), seen)


def _stage(name: str, model: str, seen: set[str]) -> Iterator[tuple[int, str]]:
    """From a stage to its run and the run's versions."""
    receipt = _receipt(name.partition("@")[2] or name)
    if receipt is None:
        yield from _files([name], 0, seen)
    elif receipt["status"] == "skipped":
        yield 0, f"{name}: skipped: {receipt['reason']}"
    else:
        yield from _run(receipt["run_id"], 0, seen)
        yield from _versions(receipt["run_id"], model)


def _file(path: Path, model: str, seen: set[str]) -> Iterator[tuple[int, str]]:
    """From a model file, wherever it lies, to its run and the run's versions."""
    if not path.is_file():
        raise UserError(f"{path} does not exist: name a .keras file")
    fingerprint = model_file.fingerprint(path)
    yield 0, f"{path}: fingerprint {fingerprint}"
    found = registry.runs_of(fingerprint)
    if not found:
        raise Broken(str(path), "the store has no run with a model of this fingerprint")
    for run in found:
        yield from _run(run.info.run_id, 1, seen)
        yield from _versions(run.info.run_id, model)


def _versions(run_id: str, model: str) -> Iterator[tuple[int, str]]:
    for version in registry.versions(model):
        if version.run_id == runs.find(run_id).info.run_id:
            yield 0, f"registered as {model} version {version.version}, {_standing(version)}"


def _version(version, seen: set[str]) -> Iterator[tuple[int, str]]:
    """From a registered version to its logged model, its run and beyond."""
    link = f"{version.name} version {version.version}"
    yield 0, f"{link}, {_standing(version)}"
    marks = registry.standing(version.name)
    if len(set(marks.values())) > 1:
        said = ", ".join(f"{mark}: {number or 'none'}" for mark, number in marks.items())
        raise Broken(f"{version.name}, champion", f"{said}; `python -m pipeline history` puts them in step")
    run_id, address = version.tags.get("run_id"), version.tags.get("model_uri")
    if run_id is None or run_id != version.run_id:
        raise Broken(f"{link}, tag run_id", f"{run_id}, but the version is of run {version.run_id}")
    run = runs.look_for(run_id)
    if run is None:
        raise Broken(f"{link}, run", f"the store has no run {run_id}")
    if tracking.model_uri(run) != address:
        raise Broken(f"{link}, tag model_uri", f"{address}, but its run has {tracking.model_uri(run)}")
    yield 1, f"logged model {address}"
    fingerprint = version.tags.get("model.fingerprint")
    with tempfile.TemporaryDirectory() as folder:
        logged = registry.fetch_keras(address, Path(folder))
        if logged is None or model_file.fingerprint(logged) != fingerprint:
            raise Broken(f"{link}, logged model", f"its data/model.keras has not the fingerprint {fingerprint}")
    yield 2, f"fingerprint {fingerprint}"
    yield from _run(run_id, 1, seen)


def _standing(version) -> str:
    aliases = ", ".join(f"@{alias}" for alias in version.aliases) or "no alias"
    return f"{aliases}, stage {version.current_stage}"


def _run(run_id: str, depth: int, seen: set[str]) -> Iterator[tuple[int, str]]:
    """From a run to its commit, its stages' files, its params and figures, and its members."""
    run = runs.find(run_id)
    tags, link = run.data.tags, f"run {run.info.run_id}"
    yield depth, f"{link}, {run.info.run_name}, {run.info.status}"
    if run.info.status != "FINISHED":
        raise Broken(link, f"it is {run.info.status}")
    if "dvc.stage" not in tags:
        raise Broken(f"{link}, tag dvc.stage", "is missing")
    yield from ((depth + 1, line) for line in _commit(tags, link))

    stage = tags["dvc.stage"]
    name = stage.partition("@")[2] or stage
    folder = paths.ENSEMBLE if stage == "ensemble" else paths.MODELS / name
    receipt = _receipt(name)
    if receipt is None or (runs.RESTORED in tags and receipt["run_id"] != tags[runs.RESTORED]):
        raise Broken(f"{folder}/run.json", f"it is not of {link}")
    if runs.RESTORED not in tags and receipt["run_id"] != run.info.run_id:
        why = f"it is of run {receipt['run_id']}: `git checkout` the commit that has it, and `dvc checkout`"
        raise Broken(f"{folder}/run.json", why)
    yield depth + 1, f"receipt {folder}/run.json"
    for what, recorded in (("params", run.data.params), ("tags", tags)):
        for key, value in receipt[what].items():
            if recorded.get(key) != value and key not in ("attempt", "resumed"):
                raise Broken(f"{link}, {what} {key}", f"{recorded.get(key)} in the store, {value} in the receipt")
    yield depth + 1, "params " + ", ".join(f"{key}={value}" for key, value in sorted(run.data.params.items()))
    if model_file.fingerprint(folder / "model.keras") != tags.get("model.fingerprint"):
        raise Broken(f"{folder}/model.keras", f"its fingerprint is not that of {link}")
    yield depth + 1, f"model {folder}/model.keras"
    accuracy = read_json(paths.METRICS / f"{name}.json")["test"]["accuracy"]
    if run.data.metrics.get("test_accuracy") != accuracy:
        raise Broken(
            f"{link}, metric test_accuracy", f"{run.data.metrics.get('test_accuracy')}, the file has {accuracy}"
        )
    yield depth + 1, f"test accuracy {accuracy}"

    final = stage if stage == "ensemble" else f"evaluate@{name}"
    yield from _files([stage, final], depth + 1, seen)
    yield from ((depth + 1, line) for line in _dependencies(stage, tags, link))
    yield from ((depth + 1, line) for line in _origins(name, tags, link))
    for key in sorted(tags):
        if key.startswith("member."):
            yield depth + 1, f"member {key.removeprefix('member.')}"
            yield from _run(tags[key], depth + 2, seen)


def _commit(tags: dict[str, str], link: str) -> Iterator[str]:
    """The commit is there, and has the code that the run's tags say, unless the run was made with changes to it."""
    commit = tags.get("git.commit", "none")
    if _git("cat-file", "-e", f"{commit}^{{commit}}").returncode:
        raise Broken(f"{link}, tag git.commit", f"the repository has no commit {commit}")
    if tags.get("git.changed") == "true":
        yield f"commit {commit}, with changes that were not committed: its code is not verified"
        return
    code = {key.removeprefix("dep."): value for key, value in tags.items() if key.endswith(".py")}
    for path, md5 in code.items():
        if hashlib.md5(_git("show", f"{commit}:{path}").stdout).hexdigest() != md5:
            raise Broken(f"{link}, commit {commit}", f"its {path} has not MD5 {md5}")
    yield f"commit {commit}, {len(code)} modules"


def _files(names: list[str], depth: int, seen: set[str]) -> Iterator[tuple[int, str]]:
    """Stages of dvc.lock and all before them: what is recorded is what is there."""
    known = locked.stages()
    for name in locked.with_ancestors(names, known):
        # `find` looks again each time, and what counts is what `weights` installed.
        if name != "find" and name not in seen:
            lines = locked.verify(name, known[name])
            seen.add(name)
            yield depth, f"stage {name}"
            yield from ((depth + 1, line) for line in lines)


def _dependencies(stage: str, tags: dict[str, str], link: str) -> Iterator[str]:
    """The hashes that the run was tagged with are those of dvc.lock; the images' are the splits' fingerprints."""
    recorded = {out["path"]: out["md5"] for made in locked.stages().values() for out in made.get("outs", [])}
    recorded |= {dep["path"]: dep["md5"] for dep in locked.stages()[stage]["deps"]}
    for key, md5 in tags.items():
        path = key.removeprefix("dep.")
        if key.startswith("dep.") and recorded.get(path) != md5:
            raise Broken(f"{link}, tag {key}", f"{md5}, {recorded.get(path)} in {locked.LOCK}")
        if key.startswith("dep.data/") and path in map(str, (paths.TRAIN, paths.VALIDATION, paths.TEST)):
            yield f"split {path} {md5}"


def _origins(name: str, tags: dict[str, str], link: str) -> Iterator[str]:
    """The raw batches are the official ones, and the weights those of their manifest and of the run's tags."""
    for batch, fault in cifar10.faults(paths.RAW, cifar10.BATCHES).items():
        raise Broken(f"{paths.RAW}/{batch}", f"it {fault}")
    yield f"{paths.RAW}: six official batches"
    if name == "ensemble":
        return
    entry = manifest.read(name)
    for key, value in entry.items():
        if tags.get(f"weights.{key}") != str(value):
            raise Broken(f"{link}, tag weights.{key}", f"{tags.get(f'weights.{key}')}, the manifest has {value}")
    if entry["status"] == "ready" and checksum(paths.WEIGHTS / name / entry["file"]) != entry["sha256"]:
        raise Broken(f"{paths.WEIGHTS / name / entry['file']}", f"its SHA-256 is not {entry['sha256']}")
    yield f"weights: {entry['origin']}"


def _receipt(name: str) -> dict | None:
    path = (paths.ENSEMBLE if name == "ensemble" else paths.MODELS / name) / "run.json"
    return read_json(path) if path.is_file() else None


def _git(*arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run(["git", *arguments], capture_output=True)
