"""The report's page, out of files only: metrics, records, tables, histories, registry.json, the test images.

One HTML file that asks for nothing else. `view` has what it says, templates/report.html how.
"""

import base64
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
import pandas as pd
from markupsafe import Markup
from PIL import Image

from pipeline.core import candidates, paths
from pipeline.core.files import read_json, read_yaml
from pipeline.data import splits
from pipeline.reporting import charts, render, results, tables

TEMPLATES = Path(__file__).with_name("templates")
LEVEL = 0.05  # of all paired tests together


def html() -> str:
    """Return the page. The same files give the same page."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"share": share, "chance": chance}
    return environment.get_template("report.html").render(view())


def share(value: float, digits: int = 2) -> str:
    """Return a fraction in per cent."""
    return f"{value * 100:.{digits}f} %".replace(" ", "\N{NO-BREAK SPACE}")


def chance(p: float) -> Markup:
    """Return a p-value; a small one with a power of ten."""
    if p >= 0.001:
        return Markup(f"{p:.3f}")  # noqa: S704  a number
    digits, power = f"{p:.1e}".split("e")
    return Markup(f"{digits} × 10<sup>−{-int(power)}</sup>")  # noqa: S704, RUF001  numbers; a minus sign


def view() -> dict[str, Any]:
    """Return what the page says, section by section."""
    metrics, scored, decision = candidates.metrics(), candidates.scored(), read_json(paths.REGISTRY)
    return {
        "decision": decision,
        "chosen": chosen(decision),
        "best": scored[decision["candidate"]],
        "data": data(),
        "names": list(scored),
        "skipped": {name: figures["skipped"] for name, figures in metrics.items() if "skipped" in figures},
        "header": results.HEADER,
        "rows": results.rows(metrics),
        "paired": paired(),
        "charts": drawn(),
        "confusion": {name: render.inline(charts.confusion(tables.counts(name), name)) for name in scored},
        "reliability": {name: render.inline(charts.reliability(tables.reliability(name), name)) for name in scored},
        "ece": {name: figures["test"]["ece"] for name, figures in scored.items()},
        "recalls": recalls(scored),
        "vote": read_json(paths.VOTE) | {"against": scored["ensemble"]["against_best_member"]},
        "mistakes": mistakes(list(scored)),
        "exports": read_json(paths.EXPORTED),
        "costs": [dict(zip(("name", "stage", "wall", "cpu", "memory"), row, strict=True)) for row in costs(scored)],
        "lineage": {name: origin(name) for name in scored},
        "splits": split_rows(),
    }


def chosen(decision: dict[str, Any]) -> str:
    """Return the figure by which the best candidate is the best."""
    value = decision["candidates"][decision["candidate"]]
    return share(value) if decision["decided_by"].endswith("accuracy") else f"{value:.4f}"


def data() -> dict[str, int]:
    """Return how many images each split has, and how many of test have a near-duplicate."""
    counts = {
        name: sum(classes.values()) for name, classes in read_json(paths.REPORTS / "data.json")["classes"].items()
    }
    return counts | {"near": read_json(paths.DUPLICATES.with_suffix(".json"))["with_a_near_duplicate"]}


def paired() -> dict[str, Any]:
    """Return the tests of each two candidates, with who is better: at LEVEL, shared by the tests (Bonferroni)."""
    rows = pd.read_csv(paths.REPORTS / "ensemble/paired.csv").to_dict("records")
    level = LEVEL / max(len(rows), 1)
    for row in rows:
        ahead = row["first"] if row["better"] > row["worse"] else row["second"]
        row["verdict"] = f"{ahead} is better" if row["p"] <= level else "no difference shown"
    return {"rows": rows, "level": level}


def drawn() -> dict[str, list[dict[str, Any]]]:
    """Return the charts of all candidates by section, each with its caption."""
    found: dict[str, list[dict[str, Any]]] = {}
    for chart in charts.CHARTS.values():
        found.setdefault(chart.section, []).append({"svg": render.inline(chart.draw()), "caption": chart.caption})
    return found


def recalls(scored: candidates.Metrics) -> list[tuple[str, list[float]]]:
    """Return each class, with the share of its test images that each candidate has right."""
    reports = [tables.per_class(name) for name in scored]
    return [(name, [report["recall"][row] for report in reports]) for row, name in enumerate(reports[0]["class"])]


def mistakes(names: list[str]) -> dict[str, dict[str, Any]]:
    """Return the worst mistakes of each candidate, with their pictures side by side in one PNG file."""
    images = splits.images(paths.TEST)
    found = {name: tables.mistakes(name) for name in names}
    return {
        name: {"picture": side_by_side(images[table["image"]]), "rows": table.to_dict("records")}
        for name, table in found.items()
        if len(table)
    }


def side_by_side(images: np.ndarray) -> str:
    """Return images uint8 (N, 32, 32, 3) as the address of a PNG picture that has them in a row."""
    file = io.BytesIO()
    Image.fromarray(np.concatenate(list(images), axis=1)).save(file, "PNG", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"


def costs(scored: candidates.Metrics) -> Iterator[tuple[str, str, float, float, float]]:
    """Yield what each stage of a candidate cost: name, stage, wall-clock and CPU seconds, peak memory in 10^9 bytes."""
    keys = ("wall_seconds", "cpu_seconds", "peak_memory_gb")
    for name in scored:
        if name != "ensemble":
            for stage in ("trunk", "train"):
                record = read_json(paths.RECORDS / stage / f"{name}.json")
                if "skipped" not in record:
                    yield name, stage, *(record[key] for key in keys)
        spent = read_json(paths.RECORDS / "evaluate" / f"{name}.json")["spent"]
        yield name, "ensemble" if name == "ensemble" else "evaluate", *(spent[key] for key in keys)


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


def split_rows() -> list[tuple[str, str, str]]:
    """Return name, use and MD5 of each split, as dvc.lock records it."""
    outs = {out["path"]: out["md5"] for out in read_yaml(Path("dvc.lock"))["stages"]["prepare"]["outs"]}
    uses = {
        paths.TRAIN: "fits the weights",
        paths.VALIDATION: "chooses all that is chosen",
        paths.TEST: "chooses nothing",
    }
    return [(path.name, use, outs[str(path)]) for path, use in uses.items()]
