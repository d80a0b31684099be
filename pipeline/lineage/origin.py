"""Where an MLflow run comes from, verified: its commit, stages, receipt, params, data, weights and members."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

from pipeline.core import paths
from pipeline.core.files import checksum
from pipeline.data import cifar10
from pipeline.lineage import cache, contents
from pipeline.lineage.lock import LOCK, Broken, Locked, git
from pipeline.tracking import logged_models, runs, store

Line = tuple[int, str]  # how deep it is indented, and what it says
SPLITS = [str(path) for path in (paths.TRAIN, paths.VALIDATION, paths.TEST)]
SINCE = {"attempt", "resumed"}  # tags that a restored run lacks, or that change


def verify(run_id: str, depth: int, near: Locked, here: Locked) -> Iterator[Line]:
    """Verify a run and its members. `near`: where its files are looked for first, then `here`, in the workspace."""
    run = runs.find(run_id)
    tags, link = run.data.tags, f"run {run.info.run_id}"
    yield depth, f"{link}, {run.info.run_name}, {run.info.status}"
    if run.info.status != runs.ENDED:
        raise Broken(link, f"it is {run.info.status}")
    if "dvc.stage" not in tags:
        raise Broken(f"{link}, tag dvc.stage", "is missing")
    for line in _commit(tags, link):
        yield depth + 1, line
    stage = tags["dvc.stage"]
    name = stage.partition("@")[2] or stage
    locked = _when(run, paths.candidate(name), near, here)
    if locked is not here:
        told = f"{LOCK} of commit {locked.commit}" if locked.commit else "its tags: no commit has its dvc.lock"
        yield depth + 1, f"its files were replaced since; by {told}"
    yield from files(_stages(stage, name, run, locked), depth + 1, locked)
    for lines in (_receipts, *contents.CHECKS, _dependencies, _origins):
        for line in lines(name, run, locked, link):
            yield depth + 1, line
    for key in sorted(tags):
        if key.startswith("member."):
            yield depth + 1, f"member {key.removeprefix('member.')}"
            yield from verify(tags[key], depth + 2, locked, here)


def files(names: list[str], depth: int, locked: Locked) -> Iterator[Line]:
    """Stages of dvc.lock and all before them, unless they are verified: what is recorded is what is there."""
    for name in locked.with_ancestors(names):
        # `find` looks again each time, and what counts is what `weights` installed.
        if name != "find" and name not in locked.verified:
            lines = locked.verify(name)
            yield depth, f"stage {name}"
            yield from ((depth + 1, line) for line in lines)


def _stages(stage: str, name: str, run, locked: Locked) -> list[str]:
    """The stages that made what is known of a run. Of another time, dvc.lock may not have had its evaluation yet."""
    evaluated = f"evaluate@{name}"
    known = evaluated in locked.stages
    wanted = locked.commit is None and name != stage and "test_accuracy" in run.data.metrics
    return [stage, evaluated] if known or wanted else [stage]


def require_commit(tags: dict[str, str], link: str) -> str:
    """The commit that tags name. Raises Broken if the repository does not have it."""
    commit = tags.get("git.commit", "none")
    if git("cat-file", "-e", f"{commit}^{{commit}}").returncode:
        raise Broken(f"{link}, tag git.commit", f"the repository has no commit {commit}")
    return commit


def _commit(tags: dict[str, str], link: str) -> Iterator[str]:
    """The commit is there, and has the code that the run's tags say, unless the run was made with changes to it."""
    commit = require_commit(tags, link)
    if tags.get("git.changed") != "false":
        yield f"commit {commit}, with changes that were not committed: its code is not verified"
        return
    code = {key.removeprefix("dep."): value for key, value in tags.items() if key.endswith(".py")}
    for path, md5 in code.items():
        if hashlib.md5(git("show", f"{commit}:{path}").stdout).hexdigest() != md5:
            raise Broken(f"{link}, commit {commit}", f"its {path} has not MD5 {md5}")
    yield f"commit {commit}, {len(code)} modules"


def _when(run, folder: Path, near: Locked, here: Locked) -> Locked:
    """The dvc.lock that tells of a run: where its receipt is. If there is none, one made of the run's own tags."""
    tags, link = run.data.tags, f"run {run.info.run_id}"
    told = tags.get(runs.RESTORED, run.info.run_id)  # in the receipt
    receipt = folder / "run.json"
    for locked in (near, here):
        if locked.json(receipt).get("run_id") == told:
            return locked
    hashes = list(cache.folders_of(told))
    recorded = here.outs.get(str(folder))
    if recorded in hashes or (not hashes and here.md5(folder, str(recorded))[0] != recorded):
        raise Broken(str(receipt), f"it is not of {link}")
    if not hashes:
        raise Broken(link, f"neither {receipt}, nor DVC's cache, nor a commit tells of it")
    for md5 in hashes:
        if locked := Locked.of_folder(folder, md5):
            return locked
    outs = [{"path": str(folder), "md5": md5} for md5 in hashes[:1]]
    deps = {key.removeprefix("dep."): md5 for key, md5 in tags.items() if key.startswith("dep.")}
    deps = [{"path": path, "md5": md5} for path, md5 in deps.items() if not path.endswith(".py")]
    return Locked({tags["dvc.stage"]: {"deps": deps, "outs": outs}}, "")


def _receipts(name: str, run, locked: Locked, link: str) -> Iterator[str]:
    """What the stages wrote down of the run, and what dvc.lock has of its params, is what the store has."""
    known = {"params": run.data.params, "tags": run.data.tags, "metrics": run.data.metrics}
    again = run.data.tags.get(runs.RESTORED, run.info.run_id) != run.info.run_id  # its model was logged once more
    since = SINCE | {logged_models.FILES} if again else SINCE
    for path in (paths.candidate(name) / "run.json", paths.PREDICTIONS / name / "run.json"):
        receipt = locked.json(path)
        if not receipt:
            continue
        if receipt.get("name") != run.info.run_name:
            raise Broken(f"{link}, name", f"{run.info.run_name} in the store, {receipt.get('name')} in {path}")
        for what, there in known.items():
            for key, value in receipt.get(what, {}).items():
                if there.get(key) != value and key not in since and not (again and key.startswith("restored.")):
                    told = f"{link}, {what.removesuffix('s')} {key}"
                    cure = "; `pipeline restore` tells the store" if path.is_relative_to(paths.PREDICTIONS) else ""
                    raise Broken(told, f"{there.get(key)} in the store, {value} in {path}{cure}")
        yield f"receipt {path}"
    recorded = locked.stages[run.data.tags["dvc.stage"]].get("params", {}).get(str(paths.PARAMS), {})
    flat = store.flatten({key.removeprefix(f"models.{name}."): value for key, value in recorded.items()})
    for key, value in flat.items():
        if run.data.params.get(key, value) != value:
            raise Broken(f"{link}, param {key}", f"{run.data.params[key]} in the store, {value} in {LOCK}")
    yield "params " + ", ".join(f"{key}={value}" for key, value in sorted(run.data.params.items()))


def _dependencies(name: str, run, locked: Locked, link: str) -> Iterator[str]:
    """The hashes that the run was tagged with are those of dvc.lock; the images' are the splits' fingerprints."""
    tags = run.data.tags
    recorded = {dep["path"]: dep["md5"] for dep in locked.stages[tags["dvc.stage"]].get("deps", [])} | locked.outs
    for key, md5 in tags.items():
        path = key.removeprefix("dep.")
        if key.startswith("dep.") and recorded.get(path, md5 if locked.commit == "" else None) != md5:
            raise Broken(f"{link}, tag {key}", f"{md5}, {recorded.get(path)} in {LOCK}")
        if key.startswith("dep.") and path in SPLITS:
            yield f"split {path} {md5}"


def _origins(name: str, run, locked: Locked, link: str) -> Iterator[str]:
    """The raw batches are the official ones, and the weights those of their manifest and of the run's tags."""
    batches = {batch: locked.file(paths.RAW / batch) for batch in cifar10.BATCHES}
    for batch, file in batches.items():
        if file and checksum(file, "md5") != cifar10.BATCHES[batch]:
            raise Broken(f"{paths.RAW}/{batch}", "it has not its official checksum")
    yield f"{paths.RAW}: {'six official batches' if all(batches.values()) else 'not here'}"
    if name == "ensemble":
        return
    folder, tags = paths.WEIGHTS / name, run.data.tags
    entry = locked.json(folder / "manifest.json")
    for key, value in entry.items():
        if tags.get(f"weights.{key}") != str(value):
            raise Broken(f"{link}, tag weights.{key}", f"{tags.get(f'weights.{key}')}, the manifest has {value}")
    file = locked.file(folder / entry["file"]) if "file" in entry else None
    if file and checksum(file) != entry["sha256"]:
        raise Broken(str(folder / entry["file"]), f"its SHA-256 is not {entry['sha256']}")
    yield f"weights: {tags.get('weights.origin')}{'' if file or 'file' not in entry else ', not here'}"
