"""An SQLite store whose folder was moved or renamed: MLflow wrote absolute paths into it."""

import contextlib
import sqlite3
from pathlib import Path
from urllib.parse import unquote, urlparse

from pipeline.core import errors, files
from pipeline.core.errors import UserError

COLUMNS = {
    "experiments": "artifact_location",
    "runs": "artifact_uri",
    "logged_models": "artifact_location",
    "model_versions": "storage_location",
}
ARTIFACTS = "artifacts"  # folder of the store
PATIENCE = 5.0  # seconds for another process to let go of the database


def relocate(store: Path) -> dict[Path, int]:
    """Make the paths in `store`/mlflow.db begin with `store`; return where it was, and how many were changed of each.

    All of them are changed, or none. Raises UserError if there is no such store, or another process is writing to it.
    """
    store = store.resolve()
    database = store / "mlflow.db"
    if not database.is_file():
        raise UserError(f"{database} does not exist: name the folder that has it")
    try:
        with (
            files.alone(store / ".lock"),  # without locks, SQLite would say that others have them
            contextlib.closing(sqlite3.connect(database, PATIENCE, isolation_level=None)) as connection,
        ):
            connection.execute("BEGIN IMMEDIATE")
            changed = {old: _replace(connection, old, store) for old in _made_in(connection) if old != store}
            connection.execute("COMMIT")
    except sqlite3.DatabaseError as error:
        if "locked" in str(error):
            raise UserError(f"{database} is in use: end `make ui` and `dvc repro` first") from None
        if errors.is_refusal(error):
            raise UserError(f"{database}: SQLite says: {error}: correct the cause and run again") from None
        raise UserError(f"{database} is no store of this workflow: {error}") from None
    return changed


def _made_in(connection: sqlite3.Connection) -> list[Path]:
    """The folders that the store was in when its experiments were made: several if it was moved several times."""
    rows = connection.execute("SELECT artifact_location FROM experiments ORDER BY experiment_id").fetchall()
    addresses = [urlparse(address) for (address,) in rows]
    places = [Path(unquote(address.path)) for address in addresses if address.scheme in ("file", "")]
    folders = dict.fromkeys(place.parent for place in places if place.name == ARTIFACTS)
    if not folders:
        raise sqlite3.DatabaseError(f"no experiment of it has its files in a folder {ARTIFACTS}")
    return list(folders)


def _replace(connection: sqlite3.Connection, old: Path, new: Path) -> int:
    changed = 0
    for was, now in ((old.as_uri(), new.as_uri()), (str(old), str(new))):
        for table, column in COLUMNS.items():
            changed += connection.execute(
                f"UPDATE {table} SET {column} = ? || substr({column}, ?) "  # noqa: S608  names of our own
                f"WHERE {column} = ? OR substr({column}, 1, ?) = ?",
                (now, len(was) + 1, was, len(was) + 1, f"{was}/"),
            ).rowcount
    return changed
