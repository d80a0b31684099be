"""`dvc repro` killed (SIGKILL) at random moments in each stage, and run again until it ends."""

import os
import random
import re
import signal
import sqlite3
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from drills.workspace import COMMAND, dvc, pipeline, variables, workspace
from pipeline.core import paths
from pipeline.core.files import read_json
from pipeline.formats import keras_archive

TWICE = 2  # kills in each stage: more than 20 in all
NOTHING = "nothing"
RUNNING = re.compile(r"^Running stage '([\w@]+)'")


def faults() -> Iterator[tuple[str, str, bool]]:
    with workspace() as whole, workspace() as broken:
        seconds = durations(whole)
        generator = random.Random(0)  # noqa: S311  no secret
        for number, stage in enumerate(stage for stage in seconds for _ in range(TWICE)):
            moment = generator.uniform(0, seconds[stage])
            at = kill(broken, list(seconds), stage, moment)
            yield f"kill {number + 1}: SIGKILL {moment:.1f} s after {stage} began", f"was at {at}", at != NOTHING
        mend(broken)
        result = dvc(broken, "repro")
        different = differences(whole, broken) if result.returncode == 0 else [result.stderr[-200:]]
        traced = [pipeline(folder, "lineage", "@champion") for folder in (whole, broken)]
        different += [told.stderr[-200:] for told in traced if told.returncode]
        seen = (
            "; ".join(different)
            or "the same history, weights and figures, one MLflow run a model and a variant, one version, lineage holds"
        )
        yield f"{TWICE * len(seconds)} kills, and `dvc repro` after each", seen, not different


def durations(folder: Path) -> dict[str, float]:
    """Run the graph undisturbed; return the seconds of each stage, in their order."""
    began: dict[str, float] = {}
    with started(folder) as process:
        for line in process.stdout:
            if found := RUNNING.match(line):
                began[found[1]] = time.perf_counter()
    if process.returncode:
        raise RuntimeError(f"the graph does not run in {folder}")
    ends = [*list(began.values())[1:], time.perf_counter()]
    return {stage: end - start for (stage, start), end in zip(began.items(), ends, strict=True)}


def kill(folder: Path, stages: list[str], stage: str, moment: float) -> str:
    """Start `dvc repro`, kill it and all it started `moment` seconds after the stage began, and say what it was at.

    If the kill before this one came when the stage had ended, and been recorded, the one that follows it counts.
    """
    mend(folder)
    with started(folder) as process:
        running, timer = NOTHING, None
        for line in process.stdout:
            if found := RUNNING.match(line):
                running = found[1]
                if timer is None and stages.index(running) >= stages.index(stage):
                    timer = threading.Timer(moment, os.killpg, (process.pid, signal.SIGKILL))
                    timer.start()
        process.wait()
        if timer:
            timer.cancel()
    return running if process.returncode < 0 else NOTHING


def mend(folder: Path) -> None:
    """What `make repro` does first, for a dvc.lock that was cut off."""
    pipeline(folder, "mend").check_returncode()


def started(folder: Path) -> subprocess.Popen:
    return subprocess.Popen(
        [*COMMAND, "dvc", "repro"],
        cwd=folder,
        env=variables(),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )


def differences(whole: Path, broken: Path) -> list[str]:
    """What the kills changed."""
    found = []
    histories = {(folder / paths.HISTORY / "custom_cnn.csv").read_bytes() for folder in (whole, broken)}
    if len(histories) > 1:
        found.append("the history")
    for model in ("models/custom_cnn", "ensemble"):
        if len({keras_archive.fingerprint(folder / model / "model.keras") for folder in (whole, broken)}) > 1:
            found.append(f"the weights of {model}")
    for array in ("models/custom_cnn/validation", "predictions/custom_cnn/test", "ensemble/test"):
        first, second = (np.load(folder / f"{array}.npy") for folder in (whole, broken))
        if not np.array_equal(first, second):
            found.append(array)
    for name in ("custom_cnn", "ensemble"):
        first, second = (read_json(folder / f"metrics/{name}.json") for folder in (whole, broken))
        if any(first[split] != second[split] for split in ("validation", "test")):
            found.append(f"the figures of {name}")
    first, second = ([exported(row) for row in read_json(folder / paths.EXPORTED)] for folder in (whole, broken))
    if first != second:
        found.append("the exports")
    return found + [f"the store: {store(broken)}"] * (store(whole) != store(broken))


def exported(row: dict) -> dict:
    """What does not depend on when a variant was exported, and how busy the machine was."""
    return {key: row[key] for key in ("role", "candidate", "format", "precision", "agreement", "accuracy", "shipped")}


def store(folder: Path) -> dict[str, list]:
    """What MLflow's database says of runs, epochs, models and versions."""
    questions = {
        "runs": "select name, status from runs where lifecycle_stage = 'active' order by name",
        "epochs": "select key, step, value from metrics where key in ('loss', 'val_accuracy') order by key, step",
        "models": "select name, status from logged_models where lifecycle_stage = 'active'",
        "versions": "select version, current_stage from model_versions order by version",
        "aliases": "select alias, version from registered_model_aliases order by alias",
    }
    with sqlite3.connect(folder / "mlruns/mlflow.db") as connection:
        return {what: connection.execute(question).fetchall() for what, question in questions.items()}


if __name__ == "__main__":
    for line in faults():
        print(*line, sep=" | ", flush=True)
