"""Stage `summary`: prints the table, the winner, and how to go on. It always runs, and writes nothing."""

import os
from collections.abc import Iterable
from typing import Any

from tabulate import tabulate

from pipeline.core import candidates, environment, paths, process
from pipeline.core.files import read_json
from pipeline.reporting import catalog, results

LIBRARIES = ("tensorflow", "keras", "numpy")  # JAX, if it is installed, may have had no part in a training


def main() -> None:
    environment.check(store=False)
    metrics = candidates.metrics()
    print(table(metrics))
    if note := outdated(metrics):
        print(f"\n{note}")
    print(f"\n{outcome(read_json(paths.REGISTRY))}")


def table(metrics: candidates.Metrics) -> str:
    """Return the table for a terminal, at most 100 characters wide, and the reasons of what was skipped below it."""
    skipped = {name: figures["skipped"] for name, figures in metrics.items() if "skipped" in figures}
    header = ["model", *(metric.short for metric in catalog.shown(catalog.SUMMARY))]
    rows = results.rows({name: figures for name, figures in metrics.items() if name not in skipped}, catalog.SUMMARY)
    lines = [tabulate(rows, header, disable_numparse=True)]
    return "\n".join(lines + [f"{name} was skipped: {reason}" for name, reason in skipped.items()])


def outdated(names: Iterable[str]) -> str | None:
    """Return a line that says which candidates were trained with other versions of LIBRARIES than are installed.

    None if there are none, or their records do not say.
    """
    installed, found = process.versions(), dict[str, list[str]]()
    for name in names:
        record = paths.RECORDS / "train" / f"{name}.json"
        trained = read_json(record).get("versions", {}) if record.exists() else {}
        for library in LIBRARIES:
            now = installed.get(library, "none")
            if trained.get(library, now) != now:
                found.setdefault(f"{library} {trained[library]} (now {now})", []).append(name)
    if not found:
        return None
    differences = "; ".join(f"{versions}: {', '.join(of)}" for versions, of in found.items())
    return f"note    trained with other libraries than are installed, so training again may differ: {differences}"


def outcome(decision: dict[str, Any]) -> str:
    """Return what registry.json says: who won, what the gate decided, and how to load the champion."""
    name, gate = decision["model"], decision["gate"]
    lines = [
        f"best    {decision['candidate']}, by {decision['decided_by']}: {name} version {decision['version']}, "
        f"@{decision['alias']}, stage {decision['stage']}",
        f"gate    {'promoted' if gate['promote'] else 'refused'}: {gate['reason']}; `pipeline history` shows what has "
        "happened since",
        "runs    make ui",
    ]
    if decision["champion"]:
        uri = os.environ.get(environment.TRACKING) or f"sqlite:///{paths.STORE}/mlflow.db"
        lines += [
            "load    import mlflow",
            f'        mlflow.set_tracking_uri("{uri}")',
            f'        mlflow.pyfunc.load_model("models:/{name}@champion")',
        ]
    return "\n".join(lines)
