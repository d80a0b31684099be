"""State that lets a killed stage resume in the same MLflow run, kept outside the outputs that DVC deletes.

A folder of paths.CHECKPOINTS for each stage holds its last attempt. It counts until an input of the stage has changed,
or DVC has recorded the stage's end in dvc.lock, which comes after the stage's own end.
"""

import contextlib
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from filelock import Timeout

from pipeline.core import paths
from pipeline.core.errors import UserError
from pipeline.core.files import alone, list_files, own_folder, read_json, write_json
from pipeline.tracking import provenance


@dataclass(frozen=True)
class Attempt:
    """One try to get through a stage, interrupted or not."""

    id: str  # a tag of its MLflow run
    inputs: str  # SHA-256 of the stage's inputs
    superseded: str | None  # the attempt before it, which nobody resumes
    folder: Path  # for the stage's own use


@contextlib.contextmanager
def attempt(stage: str, device: str = "") -> Iterator[Attempt]:
    """Yield the attempt at `stage` (as in `train@custom_cnn`) that was interrupted, or a new one.

    `device`: what else must be the same for it to resume. Raises UserError if another process is at it.
    """
    folder = own_folder(paths.CHECKPOINTS / stage)
    try:
        with alone(folder / "lock", blocking=False):
            yield _last_or_new(stage, device, folder)
    except Timeout:
        raise UserError(f"{stage} is at work in another process: wait for its end, or stop it") from None


def _last_or_new(stage: str, device: str, folder: Path) -> Attempt:
    record, inputs = folder / "attempt.json", provenance.digest(provenance.inputs(stage))
    key = {"inputs": inputs, "recorded": provenance.digest(provenance.locked().get(stage)), "device": device}
    last = read_json(record) if record.exists() else {}
    if not key.items() <= last.items():
        for path in list_files(folder):
            if path.name not in ("lock", record.name):
                path.unlink()
        last = key | {"id": uuid.uuid4().hex, "superseded": last.get("id")}
        write_json(record, last)
    return Attempt(last["id"], inputs, last["superseded"], folder)
