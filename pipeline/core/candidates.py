"""The candidates, architectures and the ensemble, by what the files say of them."""

from typing import Any, Literal

from pipeline.core import paths
from pipeline.core.files import read_json

Metrics = dict[str, dict[str, Any]]  # metrics files by candidate
COSTS = {"train": ("train_seconds", "train_cpu_seconds"), "evaluate": ("seconds_per_1000_images",)}  # of records/


def names() -> list[str]:
    """Return the architectures that the ensemble was chosen from, in the order of params.yaml, and `ensemble`."""
    return [*read_json(paths.VOTE, "architectures")["architectures"], "ensemble"]


def facts(name: str) -> dict[str, Any]:
    """Return what stage `train` or `ensemble` says of its model: `status` is `trained` or `skipped`."""
    return dict(read_json(paths.candidate(name) / "model.json", "status"))


def trained() -> list[str]:
    """Return the candidates that were not skipped."""
    return [name for name in names() if facts(name)["status"] == "trained"]


def metrics() -> Metrics:
    """Return each candidate's metrics, with the costs of records/. A skipped one has the single key `skipped`, why."""
    found = {name: read_json(paths.METRICS / f"{name}.json") for name in names()}
    for name, figures in found.items():
        if "skipped" not in figures:
            figures["cost"] |= _measured(name)
    return found


def scored() -> Metrics:
    """Return the metrics of each candidate that was not skipped."""
    return {name: figures for name, figures in metrics().items() if "skipped" not in figures}


def best(figures: Metrics, metric: Literal["accuracy", "nll"]) -> str:
    """Return the candidate with the best `metric` on the validation images."""
    choose = max if metric == "accuracy" else min
    return choose(figures, key=lambda name: figures[name]["validation"][metric])


def _measured(name: str) -> dict[str, float]:
    """Return the costs in the records of a candidate. The ensemble is not trained: it has what its members cost."""
    costs: dict[str, float] = {}
    for stage, keys in COSTS.items():
        record = read_json(paths.RECORDS / ("evaluate" if name == "ensemble" else stage) / f"{name}.json", *keys)
        costs |= {key: record[key] for key in keys}
    return costs
