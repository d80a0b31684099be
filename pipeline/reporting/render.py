"""Charts as SVG and PNG, by vl-convert, which needs no browser."""

import json
import re
from pathlib import Path
from typing import Any

import altair as alt
import vl_convert
from markupsafe import Markup, escape

from pipeline.core.files import replacing

TEMPLATES = Path(__file__).with_name("templates")
# Of Vega-Lite. A picture has one label (aria); the fonts are of equal widths: vl-convert lays text out by the first.
CONFIG = json.loads((TEMPLATES / "charts.json").read_text("utf-8"))
# The colours of `charts`, CSS variables of the page, are outside a page those of its light scheme, which comes first.
LIGHT = dict(re.findall(r"--(\w+): (#\w+);", (TEMPLATES / "report.css").read_text("utf-8").partition("@media")[0]))


def specification(chart: alt.TopLevelMixin) -> dict[str, Any]:
    """Return a chart as Vega-Lite, in the project's style; its colours are CSS variables."""
    with alt.data_transformers.disable_max_rows():
        spec: dict[str, Any] = chart.to_dict()
    return spec | {"config": CONFIG}


def inline(chart: alt.TopLevelMixin) -> Markup:
    """Return a chart as an SVG element of a page, whose colours are the page's, labelled with its description."""
    spec = specification(chart)
    svg = vl_convert.vegalite_to_svg(spec)
    svg = re.sub(r' xmlns(:\w+)?="[^"]*"', "", svg)
    # Vega gives each group of marks a role whatever the configuration says, and a role needs a label.
    svg = re.sub(r"<\w[^>]*>", lambda tag: re.sub(r' (role|aria-\w+)="[^"]*"', "", tag[0]), svg)
    svg = re.sub(r'^<svg [^>]*?viewBox="([^"]*)"[^>]*>', r'<svg viewBox="\1">', svg)
    label = escape(spec.get("description", "chart"))
    return Markup(svg.replace("<svg ", f'<svg role="img" aria-label="{label}" ', 1))  # noqa: S704  vl-convert escapes


def write(chart: alt.TopLevelMixin, path: Path) -> None:
    """Write a chart as a file for light backgrounds, PNG or SVG by its suffix."""
    spec = light(specification(chart)) | {"background": "white"}
    with replacing(path) as temporary:
        if path.suffix == ".svg":
            temporary.write_text(vl_convert.vegalite_to_svg(spec) + "\n", "utf-8")
        else:
            temporary.write_bytes(vl_convert.vegalite_to_png(spec, scale=2))


def light(spec: dict[str, Any]) -> dict[str, Any]:
    """Return a specification with the colours of the light scheme instead of CSS variables."""
    text = re.sub(r'"var\(--(\w+)\)"', lambda variable: f'"{LIGHT[variable[1]]}"', json.dumps(spec))
    return json.loads(text)
