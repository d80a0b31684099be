"""Several experiments at once on one store: a queue with four workers, and two repositories."""

import shutil
import sqlite3
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from drills.workspace import COMMAND, dvc, variables, workspace
from tools import smoke

EPOCHS = (1, 2, 3, 4)  # a model of its own each, and with it a run; the workspace's own has 5
PATIENCE = 1800  # seconds for the queue


def faults() -> Iterator[tuple[str, str, bool]]:
    with workspace() as folder:
        if dvc(folder, "repro").returncode:
            raise RuntimeError(f"the graph does not run in {folder}")
        yield queue(folder)
        yield clones(folder)


def queue(folder: Path) -> tuple[str, str, bool]:
    """Experiments that four workers run, each in a folder of its own."""
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "-m", "The first run")
    for epochs in EPOCHS:
        dvc(folder, "exp", "run", "--queue", "--no-hydra", "-S", f"models.custom_cnn.training.epochs={epochs}")
    # Its output is dropped: the workers would keep a pipe open for as long as they idle.
    start = [*COMMAND, "dvc", "queue", "start", "--jobs", "4"]
    subprocess.run(start, cwd=folder, env=variables(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    waited = wait(folder)
    dvc(folder, "queue", "stop")
    found = {epochs for (epochs,) in ask(folder, "select value from params where key = 'training.epochs'")}
    running = ask(folder, "select count(*) from runs where status != 'FINISHED'")[0][0]
    seen = f"{waited}; the repository's own store has runs of {', '.join(sorted(found))} epochs, {running} unfinished"
    held = waited == f"{len(EPOCHS)} Success" and {str(epochs) for epochs in EPOCHS} <= found and running == 0
    return f"{len(EPOCHS)} queued experiments, 4 workers", seen, held


def clones(folder: Path) -> tuple[str, str, bool]:
    """Two repositories that share a store, in which different networks are trained at once."""
    other = folder.with_name("other")
    shutil.copytree(folder, other, symlinks=True)
    server = {"MLFLOW_TRACKING_URI": f"sqlite:///{folder}/mlruns/mlflow.db"}
    results = []
    for place, seed in ((folder, "1"), (other, "2")):
        params = place / "params.yaml"
        params.write_text(params.read_text().replace("seed: 0", f"seed: {seed}"))
    threads = [
        threading.Thread(target=lambda place=place: results.append(dvc(place, "repro", **server)))
        for place in (folder, other)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    ended = sum(result.returncode == 0 for result in results)
    messages = [result.stderr.strip().splitlines()[-1] for result in results if result.returncode]
    locked = sum("database is locked" in result.stdout + result.stderr for result in results)
    (sound,) = ask(folder, "pragma integrity_check")[0]
    promoters = all("meanwhile" in line for line in messages)  # who lost the race to the registry is told
    seen = f"{ended} ended well, {locked} saw a lock, integrity {sound}{'; ' if messages else ''}{'; '.join(messages)}"
    return "two `dvc repro` at once on one store", seen, locked == 0 and sound == "ok" and promoters and ended >= 1


def wait(folder: Path) -> str:
    """Wait for the queue to be worked off; say how its tasks ended."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        status = dvc(folder, "queue", "status").stdout
        lines = [line.split() for line in status.splitlines()[1:] if line.strip()]
        states = [word for line in lines for word in line if word in ("Queued", "Running", "Success", "Failed")]
        if states and not {"Queued", "Running"} & set(states):
            return ", ".join(f"{states.count(state)} {state}" for state in sorted(set(states)))
        time.sleep(2)
    return "the queue was not worked off in time"


def ask(folder: Path, question: str) -> list[tuple]:
    with sqlite3.connect(folder / "mlruns/mlflow.db") as connection:
        return connection.execute(question).fetchall()


def git(folder: Path, *arguments: str) -> None:
    subprocess.run([*smoke.GIT, *arguments], cwd=folder, env=variables(), check=True)


if __name__ == "__main__":
    for line in faults():
        print(*line, sep=" | ")
