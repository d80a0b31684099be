"""The Production model behind `pipeline serve`: requests of one image, one after the other and 200 at once.

Milliseconds from a request's sending to its answer, JSON included, on the loopback interface; client and server share
the cores. A request is lost unless its answer is 200, with ten probabilities.
"""

import concurrent.futures
import json
import re
import subprocess
import sys
import time

import numpy as np
import requests

from benchmarks import common
from pipeline.core import params, paths
from pipeline.core.errors import UserError
from pipeline.data import splits

SEQUENTIAL, AT_ONCE = 100, 200  # requests
PATIENCE = 120.0  # seconds


def main() -> list[dict]:
    """Write serving.csv, a row a way of asking; there are no ratios."""
    params.load()
    images, _ = splits.load(paths.VALIDATION)
    bodies = [json.dumps({"inputs": image[None].tolist()}) for image in images[:AT_ONCE]]
    command = [sys.executable, "-m", "pipeline", "serve", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            found = re.search(r"http://[\d.:]+", server.stdout.readline() + server.stdout.readline())
            if not found:
                raise UserError("the server did not start: `make repro` registers the model it serves")
            wait(f"{found[0]}/ready", server)
            rows = [measured("one after the other", f"{found[0]}/invocations", bodies[:SEQUENTIAL], 1)]
            rows += [measured(f"{AT_ONCE} at once", f"{found[0]}/invocations", bodies, AT_ONCE)]
        finally:
            server.terminate()
    common.write("serving", rows)
    for row in rows:
        print(", ".join(f"{key} {value:.4g}" if isinstance(value, float) else str(value) for key, value in row.items()))
    return []


def wait(address: str, server: subprocess.Popen) -> None:
    began = time.monotonic()
    while server.poll() is None and time.monotonic() - began < PATIENCE:
        try:
            if requests.get(address, timeout=PATIENCE).status_code == 200:
                return
        except requests.ConnectionError:
            pass
        time.sleep(0.2)
    raise UserError("the server did not become ready: what it printed says why")


def measured(asked: str, address: str, bodies: list[str], workers: int) -> dict:
    """Ask for all bodies, `workers` at a time."""

    def ask(body: str) -> tuple[float, bool]:
        began = time.perf_counter()
        try:
            answer = requests.post(address, body, headers={"Content-Type": "application/json"}, timeout=PATIENCE)
        except requests.RequestException:
            return float("nan"), False
        answered = answer.status_code == 200 and np.shape(answer.json()["predictions"]) == (1, 10)
        return (time.perf_counter() - began) * 1000, answered

    began = time.perf_counter()
    with concurrent.futures.ThreadPoolExecutor(workers) as pool:
        results = list(pool.map(ask, bodies))
    seconds = time.perf_counter() - began
    times = [taken for taken, answered in results if answered]
    p50, p99 = np.percentile(times, [50, 99]) if times else (float("nan"), float("nan"))
    return {
        "requests": asked,
        "sent": len(bodies),
        "lost": len(bodies) - len(times),
        "p50_ms": float(p50),
        "p99_ms": float(p99),
        "requests_per_second": len(times) / seconds,
    }
