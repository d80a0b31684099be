"""An SQLite store of an older MLflow, brought up to the installed one. MLflow cannot take that back: a copy is kept."""

import contextlib
import datetime
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from pipeline.core import environment, files
from pipeline.core.errors import UserError, require_space

PATIENCE = 5.0  # seconds for another process to let go of the database


def migrate(database: Path) -> Path | None:
    """Bring a database up to the installed MLflow; return the copy of what it was, or None if there was nothing to do.

    MLflow works on another file, which SQLite then writes over the database: all of it, or nothing. Raises UserError if
    the database is of a newer MLflow, if it is in use, or if MLflow cannot do it.
    """
    try:
        environment.check_tables(database)
        return None
    except environment.Older:
        pass
    require_space(database.parent, 3 * database.stat().st_size)
    kept = database.with_name(f"{database.stem}.{datetime.datetime.now():%Y-%m-%dT%H.%M.%S}{database.suffix}")
    with files.alone(database.parent / ".lock"), tempfile.TemporaryDirectory(dir=database.parent) as folder:
        migrated = Path(folder, database.name)
        with _written_by_none(database):
            files.copy(database, kept)
            files.copy(database, migrated)
            command = [sys.executable, "-m", "mlflow", "db", "upgrade", f"{environment.SQLITE}{migrated}"]
            ended = subprocess.run(command, capture_output=True, text=True)
        if ended.returncode:
            kept.unlink()
            reason = (ended.stderr.strip().splitlines() or ["it does not say why"])[-1]
            raise UserError(f"MLflow cannot migrate {database}, which stays as it was: {reason}")
        with contextlib.closing(sqlite3.connect(migrated)) as new, contextlib.closing(sqlite3.connect(database)) as old:
            new.backup(old)
    return kept


@contextlib.contextmanager
def _written_by_none(database: Path) -> Iterator[None]:
    """Keep others from writing within the block. Raises UserError if one of them is just writing."""
    with contextlib.closing(sqlite3.connect(database, PATIENCE, isolation_level=None)) as connection:
        try:
            connection.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError as error:
            raise UserError(f"{database} is in use ({error}): end `make ui` and `dvc repro` first") from None
        yield
