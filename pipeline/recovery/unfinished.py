"""An SQLite store that MLflow was killed in making: it has some of its tables, and MLflow will not go on with it."""

import contextlib
import sqlite3
from pathlib import Path

from pipeline.core import files


def discard(store: Path) -> bool:
    """Delete `store`/mlflow.db if it is such a one; return whether it was. The next who needs it makes it anew.

    MLflow ends by making an experiment, so that nothing can be in a store that has none. Waits for a process of this
    workflow that is just making it. What is no database is left for MLflow to complain of.
    """
    database = store / "mlflow.db"
    if not database.exists():
        return False
    with files.alone(store / ".lock"):
        try:
            with contextlib.closing(sqlite3.connect(database)) as connection:
                tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
                begun = "experiments" not in tables or not connection.execute("SELECT 1 FROM experiments").fetchone()
        except sqlite3.DatabaseError:
            return False
        for path in store.glob(f"{database.name}*") if begun else ():  # its journal, too
            path.unlink()
        return begun
