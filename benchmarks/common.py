"""The machine, its peak, the results' folder, and a workspace in which stages can be timed without touching yours."""

import contextlib
import csv
import os
import platform
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from pipeline.core import paths
from pipeline.core.errors import UserError
from pipeline.core.files import read_json, replacing
from pipeline.core.schema import Model, Params

RESULTS = Path(__file__).parent / "results"
PEAK_SIDE, PEAK_ROUNDS = 3000, 10  # of the square matrices whose product is the machine's peak; products timed


def machine() -> str:
    """Model of the CPU and the number of cores that this process may use."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    name = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown CPU")
    return f"{name}, {platform.machine()}, {cores()} cores"


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def peak(dtype: str) -> float:
    """GFLOP/s of a large matrix product, `dtype` float32 or bfloat16: the limit of what a network can reach."""
    import keras

    matrix = keras.ops.cast(np.random.default_rng(0).normal(size=(PEAK_SIDE, PEAK_SIDE)), dtype)
    np.array(keras.ops.cast(keras.ops.matmul(matrix, matrix), "float32"))
    began = time.perf_counter()
    for _ in range(PEAK_ROUNDS):
        product = keras.ops.matmul(matrix, matrix)
    np.array(keras.ops.cast(product, "float32"))
    return PEAK_ROUNDS * 2 * PEAK_SIDE**3 / (time.perf_counter() - began) / 1e9


def write(name: str, rows: list[dict]) -> None:
    """Write results/NAME.csv. A row names the machine that it was measured on, this one unless it says so."""
    rows = [{key: _short(value) for key, value in ({"machine": machine()} | row).items()} for row in rows]
    fields = [key for key in rows[0] if key != "machine"] + ["machine"]
    with replacing(RESULTS / f"{name}.csv") as temporary, temporary.open("w", newline="") as file:
        writer = csv.DictWriter(file, fields, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    print(f"{RESULTS.name}/{name}.csv: {len(rows)} rows", flush=True)


def read(name: str) -> list[dict[str, str]]:
    """Rows of results/NAME.csv; none if it has not been measured."""
    path = RESULTS / f"{name}.csv"
    return list(csv.DictReader(path.open(newline=""))) if path.is_file() else []


def _short(value):
    return f"{value:.4g}" if isinstance(value, float) else value


def require(*needed: Path) -> None:
    """Raises UserError if any of what stages write is missing, or is of a skipped architecture."""
    for path in needed:
        if not path.exists():
            raise UserError(f"{path} is missing: `make repro` makes it")
        record = path / "manifest.json"
        if record.is_file() and read_json(record)["status"] == "skipped":
            raise UserError(f"{path.name}: {read_json(record)['reason']}: this benchmark needs them")


def cached(name: str, checked: Params) -> Model:
    """The entry of a pretrained architecture. Raises UserError unless it is trained on a cached trunk."""
    settings = checked.models.get(name)
    if settings is None or settings.method != "transfer":
        raise UserError(f"this benchmark needs models.{name} of method transfer: `git checkout {paths.PARAMS}` first")
    return settings


@contextlib.contextmanager
def workspace(*needed: Path) -> Iterator[None]:
    """Within the block, the working folder is an empty one in which links lead to what is `needed` of this one.

    Raises UserError if any of that is missing.
    """
    root = Path.cwd()
    require(*needed)
    with tempfile.TemporaryDirectory(dir=root, prefix=".bench-") as folder:
        for path in (paths.PARAMS, *needed):
            link = Path(folder) / path
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(root / path)
        with contextlib.chdir(folder):
            yield
