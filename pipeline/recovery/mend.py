"""Files that DVC or MLflow was killed in writing, put back or deleted: dvc.lock, DVC's own list, a new store."""

import contextlib
import json
import sqlite3
import time
from pathlib import Path

from ruamel.yaml.error import YAMLError

from pipeline.core import files, paths
from pipeline.core.errors import UserError
from pipeline.tracking import provenance
from pipeline.tracking.provenance import LOCK

RUNNING = Path(".dvc/tmp/rwlock")  # DVC's own, for the commands that run at the moment


def lock() -> bool:
    """Put back what dvc.lock was when the last stage began, if it is damaged: DVC writes it in place.

    Returns whether it was. Raises UserError if it was, and there is nothing to put back, or if it or another file that
    DVC reads has a merge conflict.
    """
    for path in filter(Path.exists, (LOCK, paths.PARAMS, paths.REGISTRY, Path("dvc.yaml"))):
        files.refuse_conflict(path)
    fault = _fault()
    if fault is None:
        return False
    if not paths.LOCK_KEPT.exists():
        raise UserError(f"{LOCK} is damaged ({fault}): `git checkout {LOCK}` brings it back")
    files.copy(paths.LOCK_KEPT, LOCK)
    return True


def _fault() -> str | None:
    """Return what is wrong with dvc.lock; None if nothing is, or there is none."""
    if not LOCK.exists():
        return None
    content = LOCK.read_bytes()
    if not content.endswith(b"\n"):
        return "it ends within a line"
    kept = paths.LOCK_KEPT.read_bytes() if paths.LOCK_KEPT.exists() else content
    if kept != content and kept.startswith(content):
        return "it ends too early"
    try:
        for stage in provenance.locked().values():
            [(entry["path"], entry["md5"]) for kind in ("deps", "outs") for entry in stage.get(kind, [])]
    except (YAMLError, UnicodeDecodeError, KeyError, TypeError, AttributeError) as error:
        return " ".join(str(error).split())[:200]
    return None


def running() -> bool:
    """Delete DVC's list of who reads and writes what, if DVC was killed in writing it; return whether it was."""
    for _ in range(2):  # it may be that DVC is just writing it
        try:
            json.loads(RUNNING.read_text())
            return False
        except FileNotFoundError:
            return False
        except ValueError:
            time.sleep(1)
    RUNNING.unlink(missing_ok=True)
    return True


def store(folder: Path) -> bool:
    """Delete `folder`/mlflow.db if MLflow was killed in making it; return whether it was.

    It has some of its tables then, and MLflow will not go on with it; the next who needs it makes it anew. MLflow ends
    by making an experiment, so that nothing can be in a store that has none. Waits for a process of this workflow that
    is just making it. What is no database is left for MLflow to complain of.
    """
    database = folder / "mlflow.db"
    if not database.exists():
        return False
    with files.alone(folder / ".lock"):
        try:
            with contextlib.closing(sqlite3.connect(database)) as connection:
                tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
                begun = "experiments" not in tables or not connection.execute("SELECT 1 FROM experiments").fetchone()
        except sqlite3.DatabaseError:
            return False
        for path in folder.glob(f"{database.name}*") if begun else ():  # its journal, too
            path.unlink()
        return begun
