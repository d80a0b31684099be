"""The report's page, out of files only: metrics, records, tables, histories, registry.json, the test images.

One HTML file that asks for nothing else. `view` has what it says, templates/report.html how.
"""

import base64
import io
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from pipeline.core import candidates, paths
from pipeline.core.files import read_json, read_yaml
from pipeline.data import splits
from pipeline.reporting import charts, render, results, tables, template

LEVEL = 0.05  # of all paired tests together


def html() -> str:
    """Return the page. The same files give the same page."""
    return template.fill("report.html", view(), share=share, inline=render.inline)


def share(value: float, digits: int = 2) -> str:
    """Return a fraction in per cent."""
    return f"{value * 100:.{digits}f} %".replace(" ", "\N{NO-BREAK SPACE}")


def view() -> dict[str, Any]:
    """Return what the page says, section by section."""
    metrics = candidates.metrics()
    scored = {name: figures for name, figures in metrics.items() if "skipped" not in figures}
    prepared = read_yaml(Path("dvc.lock"))["stages"]["prepare"]["outs"]
    return {
        "decision": read_json(paths.REGISTRY),
        "scored": scored,
        "data": tables.split_sizes(),
        "duplicates": read_json(paths.DUPLICATES.with_suffix(".json")),
        "skipped": {name: figures["skipped"] for name, figures in metrics.items() if "skipped" in figures},
        "header": results.HEADER,
        "rows": results.rows(metrics),
        "paired": paired(),
        "charts": list(charts.CHARTS.values()),
        "confusion": {name: charts.confusion(tables.read(name, "counts"), name) for name in scored},
        "reliability": {name: charts.reliability(tables.read(name, "reliability"), name) for name in scored},
        "recalls": pd.DataFrame({name: tables.per_class(name).set_index("class")["recall"] for name in scored}),
        "vote": read_json(paths.VOTE),
        "mistakes": mistakes(scored),
        "exports": read_json(paths.EXPORTED),
        "costs": costs(scored),
        "lineage": {name: origin(name) for name in scored},
        "checksums": {Path(out["path"]).name: out["md5"] for out in prepared},
    }


def paired() -> dict[str, Any]:
    """Return the tests of each two candidates, with who is better: at LEVEL, shared by the tests (Bonferroni)."""
    rows = tables.read("ensemble", "paired").to_dict("records")
    level = LEVEL / max(len(rows), 1)
    for row in rows:
        ahead = row["first"] if row["better"] > row["worse"] else row["second"]
        row["verdict"] = f"{ahead} is better" if row["p"] <= level else "no difference shown"
    return {"rows": rows, "level": level}


def mistakes(names: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Return the worst mistakes of each candidate, with their pictures side by side in one PNG file."""
    images = splits.images(paths.TEST)
    return {
        name: {"picture": side_by_side(images[worst["image"]]), "rows": worst.to_dict("records")}
        for name in names
        if len(worst := tables.read(name, "mistakes"))
    }


def side_by_side(images: np.ndarray) -> str:
    """Return images uint8 (N, 32, 32, 3) as the address of a PNG picture that has them in a row."""
    file = io.BytesIO()
    Image.fromarray(np.concatenate(list(images), axis=1)).save(file, "PNG", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"


def costs(names: Iterable[str]) -> list[dict[str, Any]]:
    """Return what each stage of a candidate cost: its name, wall-clock and CPU seconds, peak memory in 10^9 bytes."""
    rows = []
    for name in names:
        for stage in ("evaluate",) if name == "ensemble" else ("trunk", "train", "evaluate"):
            record = read_json(paths.RECORDS / stage / f"{name}.json")
            if "skipped" not in record:
                shown = "ensemble" if name == "ensemble" else stage
                rows.append(record.get("spent", record) | {"name": name, "stage": shown})
    return rows


def origin(name: str) -> dict[str, str]:
    """Return where a candidate comes from, by what each part is called."""
    facts = candidates.facts(name)
    kind = "evaluate" if name == "ensemble" else "train"
    record = read_json(paths.RECORDS / kind / f"{name}.json")
    changed = " with changes that were not committed" if record["git.changed"] == "true" else ""
    found = {
        "DVC stage": paths.stage(name),
        "fingerprint": facts["fingerprint"],
        "begun": f"{record['started'][:16].replace('T', ' ')} UTC",
        "git commit": record["git.commit"] + changed,
    }
    if name == "ensemble":
        return found | {f"member {member}": f"{weight:.2f}" for member, weight in facts["weights"].items()}
    found["weights"] = facts["weights"]["origin"]
    if "sha256" in facts["weights"]:
        found["weights' SHA-256"] = facts["weights"]["sha256"]
    return found | {"trained on": f"{record['device']}, {record['precision']}, profile {record['profile']}"}
