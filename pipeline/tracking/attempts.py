"""A stage that was killed goes on in the MLflow run that it was in: what has to outlive its outs, which DVC deletes.

A folder of paths.CHECKPOINTS for each stage holds its last attempt. It counts until a dependency or a parameter has
changed, or DVC has recorded the stage's end in dvc.lock, which comes after the stage's own end.
"""

import contextlib
import fcntl
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pipeline.core import paths
from pipeline.core.errors import UserError
from pipeline.core.files import read_json, write_json
from pipeline.tracking import provenance


@dataclass(frozen=True)
class Attempt:
    """One try to get through a stage, interrupted or not."""

    id: str  # a tag of its MLflow run
    superseded: str | None  # the attempt before it, which nobody will go on with
    folder: Path  # for the stage's own use


@contextlib.contextmanager
def attempt(stage: str, device: str = "") -> Iterator[Attempt]:
    """The attempt at `stage` (as in `train@custom_cnn`) that was interrupted, or a new one.

    `device`: what else must be the same for it to go on. Raises UserError if a process is at it still.
    """
    folder = paths.CHECKPOINTS / stage
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(f"{stage} is at work in another process: wait for its end, or stop it") from None
        yield _last_or_new(stage, device, folder)


def _last_or_new(stage: str, device: str, folder: Path) -> Attempt:
    record = folder / "attempt.json"
    made_of = {"stage": provenance.identity(stage), "recorded": provenance.recorded(stage), "device": device}
    last = read_json(record) if record.exists() else {}
    if not made_of.items() <= last.items():
        for path in folder.iterdir():
            if path.name not in ("lock", record.name):
                path.unlink()
        last = made_of | {"id": uuid.uuid4().hex, "superseded": last.get("id")}
        write_json(record, last)
    return Attempt(last["id"], last["superseded"], folder)
