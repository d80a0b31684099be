"""The report's page, out of files only: metrics, tables, histories, receipts, registry.json, the test images.

One HTML file that asks for nothing else. `view` has what it says, templates/report.html how.
"""

import base64
import io
from datetime import UTC, datetime
from pathlib import Path

import jinja2
import numpy as np
import pandas as pd
from markupsafe import Markup
from PIL import Image

from pipeline.core import candidates, paths
from pipeline.core.files import read_json
from pipeline.data import cifar10, splits
from pipeline.reporting import charts, results, svg

TEMPLATES = Path(__file__).with_name("templates")
LEVEL = 0.05  # of all paired tests together


def html() -> str:
    """The page. The same files give the same page."""
    loader = jinja2.FileSystemLoader(TEMPLATES)
    settings = {"undefined": jinja2.StrictUndefined, "trim_blocks": True, "lstrip_blocks": True}
    environment = jinja2.Environment(loader=loader, autoescape=True, **settings)
    environment.filters |= {"share": share, "chance": chance}
    environment.globals["key"] = svg.legend
    return environment.get_template("report.html").render(view())


def share(value: float, digits: int = 2) -> str:
    """A fraction in per cent."""
    return f"{value * 100:.{digits}f} %".replace(" ", "\N{NO-BREAK SPACE}")


def chance(p: float) -> Markup:
    """A p-value; a small one with a power of ten."""
    if p >= 0.001:
        return Markup(f"{p:.3f}")  # noqa: S704  a number
    digits, power = f"{p:.1e}".split("e")
    return Markup(f"{digits} × 10<sup>−{-int(power)}</sup>")  # noqa: S704, RUF001  numbers; a minus sign


def view() -> dict:
    """What the page says, section by section."""
    metrics = candidates.metrics()
    scored = {name: figures for name, figures in metrics.items() if "skipped" not in figures}
    numbers = {name: 1 + index % (svg.MARKS - 1) for index, name in enumerate(metrics)} | {"ensemble": 0}
    decision = read_json(paths.REGISTRY)
    receipts = {name: read_json(paths.candidate(name) / "run.json") for name in scored}
    return {
        "decision": decision,
        "chosen": chosen(decision),
        "best": scored[decision["candidate"]],
        "data": data(),
        "marks": {name: numbers[name] for name in scored},
        "skipped": {name: figures["skipped"] for name, figures in metrics.items() if "skipped" in figures},
        "header": results.HEADER,
        "rows": results.rows(metrics),
        "paired": paired(),
        "charts": drawn(scored, numbers),
        "ece": {name: figures["test"]["ece"] for name, figures in scored.items()},
        "recalls": recalls(scored),
        "vote": vote(scored["ensemble"]),
        "mistakes": mistakes(list(scored)),
        "exports": read_json(paths.EXPORTED),
        "costs": costs(scored, receipts),
        "lineage": lineage(receipts),
        "splits": split_rows(receipts),
    }


def chosen(decision: dict) -> str:
    """The figure by which the best candidate is the best."""
    value = decision["candidates"][decision["candidate"]]
    return share(value) if decision["decided_by"].endswith("accuracy") else f"{value:.4f}"


def data() -> dict:
    """How many images there are of each split, and how many of test have a near-duplicate."""
    counts = {
        name: sum(classes.values()) for name, classes in read_json(paths.REPORTS / "data.json")["classes"].items()
    }
    return counts | {"near": read_json(paths.DUPLICATES.with_suffix(".json"))["with_a_near_duplicate"]}


def paired() -> dict:
    """The tests of each two candidates, with who is better: at LEVEL, shared by the tests (Bonferroni)."""
    rows = pd.read_csv(paths.REPORTS / "ensemble/paired.csv").to_dict("records")
    level = LEVEL / max(len(rows), 1)
    for row in rows:
        ahead = row["first"] if row["better"] > row["worse"] else row["second"]
        row["verdict"] = f"{ahead} is better" if row["p"] <= level else "no difference shown"
    return {"rows": rows, "level": level}


def drawn(scored: dict[str, dict], marks: dict[str, int]) -> dict:
    """The charts, by section."""
    tests = {name: figures["test"] for name, figures in scored.items()}
    costs = {
        "seconds per 1,000 images": {name: of["cost"]["seconds_per_1000_images"] for name, of in scored.items()},
        "MB of the model file": {name: of["cost"]["size_mb"] for name, of in scored.items()},
    }
    histories = {name: pd.read_csv(paths.HISTORY / f"{name}.csv") for name in scored if name != "ensemble"}
    counts = {name: pd.read_csv(paths.REPORTS / name / "confusion.csv", index_col=0) for name in scored}
    bins = {name: pd.read_csv(paths.REPORTS / name / "reliability.csv") for name in scored}
    return {
        "intervals": charts.intervals(tests, marks),
        "against": charts.against(tests, results.NOTEBOOK, marks),
        "pareto": [charts.pareto(values, tests, label, marks) for label, values in costs.items()],
        "curves": [charts.curves(histories, column, marks) for column in ("accuracy", "loss")],
        "confusion": {name: charts.confusion(name, table) for name, table in counts.items()},
        "mistaken": charts.mistaken({name: per_class(name) for name in scored}, marks),
        "reliability": {name: charts.reliability(name, rows, marks[name]) for name, rows in bins.items()},
        "helps": charts.helps(pd.read_csv(paths.REPORTS / "ensemble/helps.csv")),
    }


def per_class(name: str) -> pd.DataFrame:
    """The rows of reports/NAME/report.csv that are of classes, not averages."""
    report = pd.read_csv(paths.REPORTS / name / "report.csv")
    return report[report["class"].isin(cifar10.CLASSES)].reset_index(drop=True)


def recalls(scored: dict[str, dict]) -> list[tuple[str, list[float]]]:
    """Each class, with the share of its test images that each candidate has right."""
    columns = [per_class(name)["recall"] for name in scored]
    return [(name, [column[index] for column in columns]) for index, name in enumerate(cifar10.CLASSES)]


def vote(figures: dict) -> dict:
    """What was chosen of the vote on validation, and how it does on test against its best member."""
    return read_json(paths.VOTE) | {"against": figures["against_best_member"]}


def mistakes(names: list[str]) -> dict[str, dict]:
    """The worst mistakes of each candidate, with their pictures side by side in one PNG file."""
    images = splits.images(paths.TEST)
    tables = {name: pd.read_csv(paths.REPORTS / name / "mistakes.csv") for name in names}
    return {
        name: {"picture": side_by_side(images[table["image"]]), "rows": table.to_dict("records")}
        for name, table in tables.items()
        if len(table)
    }


def side_by_side(images: np.ndarray) -> str:
    """Images uint8 (N, 32, 32, 3) as the address of a PNG picture that has them in a row."""
    file = io.BytesIO()
    Image.fromarray(np.concatenate(list(images), axis=1)).save(file, "PNG", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"


def costs(scored: dict[str, dict], receipts: dict[str, dict]) -> list[dict]:
    """What each stage of a candidate has cost: wall-clock and CPU seconds, peak memory."""
    rows = []
    for name, receipt in receipts.items():
        if name != "ensemble":
            trunk = receipt["trunk_seconds"]
            if trunk:
                rows.append((name, "trunk", trunk, receipt["trunk_cpu_seconds"], receipt["trunk_peak_memory_gb"]))
            rows.append((name, "train", receipt["wall_seconds"], receipt["cpu_seconds"], receipt["peak_memory_gb"]))
        spent = scored[name]["spent"]
        stage = "ensemble" if name == "ensemble" else "evaluate"
        rows.append((name, stage, spent["wall_seconds"], spent["cpu_seconds"], spent["peak_memory_gb"]))
    return [dict(zip(("name", "stage", "wall", "cpu", "memory"), row, strict=True)) for row in rows]


def lineage(receipts: dict[str, dict]) -> dict[str, dict[str, str]]:
    """Where each candidate comes from, by what it is called."""
    return {name: origin(name, receipt) for name, receipt in receipts.items()}


def origin(name: str, receipt: dict) -> dict[str, str]:
    tags = receipt["tags"]
    changed = " with changes that were not committed" if tags["git.changed"] == "true" else ""
    said = {
        "MLflow run": receipt["run_id"],
        "logged model": receipt["model_uri"],
        "begun": f"{datetime.fromtimestamp(receipt['started'] / 1000, UTC):%Y-%m-%d %H:%M} UTC",
        "git commit": tags["git.commit"] + changed,
        "fingerprint": receipt["fingerprint"],
    }
    if name == "ensemble":
        members = {key.removeprefix("member."): run for key, run in tags.items() if key.startswith("member.")}
        return said | {f"member {member}": run for member, run in members.items()}
    said |= {"weights": receipt["weights"]["origin"]}
    if "sha256" in receipt["weights"]:
        said |= {"weights' SHA-256": receipt["weights"]["sha256"]}
    return said | {"trained on": f"{receipt['device']}, {receipt['precision']}, profile {receipt['profile']}"}


def split_rows(receipts: dict[str, dict]) -> list[tuple[str, str, str]]:
    """Name, use and MD5 of each split, as the runs' tags have them."""
    tags = {}
    for receipt in receipts.values():
        tags |= receipt["tags"]
    uses = {
        paths.TRAIN: "fits the weights",
        paths.VALIDATION: "chooses all that is chosen",
        paths.TEST: "chooses nothing",
    }
    return [(path.name, use, tags[f"dep.{path}"]) for path, use in uses.items()]
