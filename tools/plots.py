"""`python -m tools.plots` (part of `make readme`): writes the templates of `dvc plots` out of the project's charts.

DVC fills in data, title and the colour of each revision, where an anchor `<DVC_METRIC_...>` stands.
"""

import json
from pathlib import Path
from typing import Any

import pandas as pd

from pipeline.core import errors
from pipeline.core.files import list_files, replacing
from pipeline.reporting import charts, render

FOLDER = Path(".dvc/plots")
SCHEMA = "https://vega.github.io/schema/vega-lite/v5.json"  # which DVC's page and VS Code draw by
# No colours of text and axes: VS Code has its own, for light and dark.
CONFIG = {"mark": {"tooltip": {"content": "data"}}}
COLOR = "<DVC_METRIC_COLOR>"
# A row of each table, from which a chart learns its columns.
CURVE = {"architecture": "", "epoch": 1, "images": "validation", "accuracy": 0.0, "loss": 0.0}
CANDIDATE = {
    "candidate": "",
    "accuracy": 0.5,
    "accuracy_low": 0.4,
    "accuracy_high": 0.6,
    "seconds_per_1000_images": 1.0,
}
CELL = {"actual": "", "predicted": "", "count": 1}


def templates() -> dict[str, str]:
    """Return the content of each template by its file's name."""
    curve, candidate, cell = (pd.DataFrame([row]) for row in (CURVE, CANDIDATE, CELL))
    revisions, both = {"column": facet("architecture")}, {"row": facet("candidate"), "column": facet("rev")}
    found = {
        "accuracy": template(charts.curves(curve, "accuracy"), revisions),
        "loss": template(charts.curves(curve, "loss"), revisions),
        "intervals": template(charts.intervals(candidate), {"row": facet("rev")}),
        "time": template(charts.tradeoff(candidate, "seconds_per_1000_images"), {}),
        "confusion": template(charts.confusion(cell, ""), both),
    }
    return {f"{name}.json": json.dumps(spec, indent=2, allow_nan=False) + "\n" for name, spec in found.items()}


def facet(field: str) -> dict[str, Any]:
    return {"field": field, "type": "nominal", "title": None}  # sorted: unsorted panels get others' headers


def template(chart: Any, facets: dict[str, Any]) -> dict[str, Any]:
    """Return a chart with anchors, a panel for each value of the `facets`."""
    spec = render.light(render.specification(chart))
    for key in ("$schema", "config", "data", "datasets", "description", "background"):
        spec.pop(key, None)
    spec = anchored(spec)
    head = {"$schema": SCHEMA, "config": CONFIG, "data": {"values": "<DVC_METRIC_DATA>"}, "title": "<DVC_METRIC_TITLE>"}
    return head | ({"facet": facets, "spec": spec} if facets else spec)


def anchored(node: Any) -> Any:
    """Return a specification in which DVC colours revisions, instead of the candidates' own colours and shapes."""
    if isinstance(node, list):
        return [anchored(value) for value in node]
    if not isinstance(node, dict):
        return node
    own = {key: anchored(value) for key, value in node.items() if key not in ("data", "name")}
    if "encoding" in own:
        encoding = own["encoding"]
        for key in ("stroke", "fillOpacity"):
            encoding.pop(key, None)
        if isinstance(encoding.get("color"), dict):
            encoding["color"] = COLOR
        if isinstance(encoding.get("shape"), dict):
            encoding["shape"] = {key: encoding["shape"][key] for key in ("field", "type")}
    return own


def main() -> None:
    wanted = templates()
    FOLDER.mkdir(parents=True, exist_ok=True)
    for path in list_files(FOLDER, "*.json"):
        if path.name not in wanted:
            path.unlink()
    for name, text in wanted.items():
        with replacing(FOLDER / name) as temporary:
            temporary.write_text(text)
    print(f"{FOLDER}: {', '.join(wanted)}")


if __name__ == "__main__":
    errors.run(main)
