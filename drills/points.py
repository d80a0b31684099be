"""Eight processes that begin with a store that is not there, and log 10,000 metric points each."""

import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from drills.workspace import variables as environ

PROCESSES, POINTS, BATCH = 8, 10_000, 100
ROOT = Path(__file__).parents[1]
LOG = f"""
import time
from mlflow import MlflowClient
from mlflow.entities import Metric
from pipeline.core import params
from pipeline.tracking import store
experiment = store.connect(params.load())
run = MlflowClient().create_run(experiment, run_name="points")
for first in range(0, {POINTS}, {BATCH}):
    points = [Metric("x", float(step), int(time.time() * 1000), step) for step in range(first, first + {BATCH})]
    MlflowClient().log_batch(run.info.run_id, metrics=points)
"""


def faults() -> Iterator[tuple[str, str, bool]]:
    with tempfile.TemporaryDirectory() as folder:
        for name in ("params.yaml", "dvc.yaml"):
            (Path(folder) / name).write_text((ROOT / name).read_text())
        variables = environ() | {"PYTHONPATH": str(ROOT)}
        command = [sys.executable, "-c", LOG]
        processes = [
            subprocess.Popen(command, cwd=folder, env=variables, stderr=subprocess.PIPE, text=True)
            for _ in range(PROCESSES)
        ]
        errors = [process.communicate()[1] for process in processes]
        with sqlite3.connect(Path(folder, "mlruns/mlflow.db")) as connection:
            (kept,) = connection.execute(
                "select count(*) from (select distinct run_uuid, step from metrics where key = 'x' and value = step)"
            ).fetchone()
            (sound,) = connection.execute("pragma integrity_check").fetchone()
        ended = sum(process.returncode == 0 for process in processes)
        locked = sum("locked" in error for error in errors)
        injected = f"{PROCESSES} processes make a new store at once and log {POINTS} points each"
        seen = f"{ended} ended well, {kept} of {PROCESSES * POINTS} points kept, {locked} saw a lock, integrity {sound}"
        yield injected, seen, (ended, kept, locked, sound) == (PROCESSES, PROCESSES * POINTS, 0, "ok")


if __name__ == "__main__":
    for line in faults():
        print(*line, sep=" | ")
