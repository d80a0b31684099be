"""What is done to a workspace and its store behind the project's back, and how to put it back."""

import contextlib
import json
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import yaml
from mlflow import MlflowClient

from drills.files import small_model
from pipeline.registry import promotion, versions
from pipeline.tracking import provenance, runs

MODEL = "cifar10-classifier"
CNN = "models/custom_cnn"


@contextlib.contextmanager
def kept(*paths: str) -> Iterator[None]:
    """Put the store and these files back after the block."""
    before = {path: Path(path).read_bytes() for path in paths}
    with contextlib.closing(sqlite3.connect(":memory:")) as memory:
        with contextlib.closing(sqlite3.connect("mlruns/mlflow.db")) as store:
            store.backup(memory)
        try:
            yield
        finally:
            with contextlib.closing(sqlite3.connect("mlruns/mlflow.db")) as store:
                memory.backup(store)
            for path, content in before.items():
                Path(path).unlink(missing_ok=True)
                Path(path).write_bytes(content)


def run_id(name: str = "ensemble") -> str:
    return runs.of(name).info.run_id


def execute(statement: str, *values: str) -> None:
    with contextlib.closing(sqlite3.connect("mlruns/mlflow.db")) as connection, connection:
        assert connection.execute(statement, values).rowcount > 0


def set_tag(key: str, value: str, name: str = "ensemble") -> None:
    MlflowClient().set_tag(run_id(name), key, value)


def version_tag(key: str, value: str) -> Callable[[], None]:
    """Sets a tag of the version."""
    return lambda: MlflowClient().set_model_version_tag(MODEL, "1", key, value)


def decide_otherwise(path: str, decision: dict) -> None:
    """Puts another decision in the place of the gate's, as the champion's version and its run have it."""
    Path(path).write_text(json.dumps(decision))
    version_tag(versions.EVIDENCE, provenance.digest(decision))()
    version_tag(versions.GATE, decision["reason"])()


def locked_hash(path: str) -> str:
    """The MD5 that dvc.lock has of an output."""
    outs = (out for stage in provenance.locked().values() for out in stage.get("outs", ()))
    return next(out["md5"] for out in outs if out["path"] == path)


def another_version() -> str:
    return str(MlflowClient().create_model_version(MODEL, "/nowhere").version)


def replace(path: str, old: str, new: str) -> None:
    """In a file that may be a link into DVC's cache."""
    content = Path(path).read_text()
    assert old in content
    Path(path).unlink()
    Path(path).write_text(content.replace(old, new, 1))


def append(path: str) -> None:
    content = Path(path).read_bytes()
    Path(path).unlink()
    Path(path).write_bytes(content + b"x")


def another_model(path: str) -> None:
    Path(path).unlink()
    small_model(Path(path))


def logged(name: str) -> str:
    """A file of the champion's logged model."""
    address = promotion.champion(MODEL).source.removeprefix("models:/")
    return f"mlruns/artifacts/models/{address}/artifacts/{name}"


def artifact(name: str) -> str:
    """A file of the champion's run."""
    place = MlflowClient().get_run(promotion.champion(MODEL).run_id).info.artifact_uri
    return f"{place.removeprefix('file://')}/{name}"


def without_stage(stage: str) -> Callable[[str], None]:
    """Takes a stage out of dvc.lock."""

    def tamper(path: str) -> None:
        tree = yaml.safe_load(Path(path).read_text())
        del tree["stages"][stage]
        Path(path).write_text(yaml.safe_dump(tree, sort_keys=False))

    return tamper


def without_deps(path: str) -> None:
    """Takes out of dvc.lock what the training depended on."""
    tree = yaml.safe_load(Path(path).read_text())
    del tree["stages"]["train@custom_cnn"]["deps"]
    Path(path).write_text(yaml.safe_dump(tree, sort_keys=False))


def with_changes(change: Callable[[dict], object]) -> Callable[[str], None]:
    """Changes what a JSON file holds."""

    def tamper(path: str) -> None:
        content = json.loads(Path(path).read_text())
        change(content)
        Path(path).write_text(json.dumps(content))

    return tamper
