"""Charts as SVG and PNG, by vl-convert, which needs no browser."""

import re
from pathlib import Path
from typing import Any

import altair as alt
import vl_convert
from markupsafe import Markup, escape

from pipeline.core.files import replacing

FONT = "'Liberation Sans', Arial, Helvetica, sans-serif"  # of equal widths: vl-convert lays text out by the first
# What the colours of `charts`, CSS variables of the page, are outside a page: those of its light scheme.
LIGHT = {
    "ink": "#191d22",
    "quiet": "#555e68",
    "rule": "#d7dbe0",
    "wrong": "#c2410c",
    "s0": "#0b62b0",
    "s1": "#b8480a",
    "s2": "#007a5c",
    "s3": "#9b3f86",
    "s4": "#7d6200",
    "s5": "#4f5fb0",
    "s6": "#5f6770",
}
CONFIG = {
    "aria": False,  # the picture has one label
    "background": None,
    "font": FONT,
    "view": {"stroke": None},
    "axis": {
        "labelColor": "var(--quiet)",
        "titleColor": "var(--quiet)",
        "titleFontWeight": "normal",
        "labelFontSize": 12,
        "titleFontSize": 12,
        "gridColor": "var(--rule)",
        "domainColor": "var(--rule)",
        "tickColor": "var(--rule)",
        "labelFlush": False,
    },
    "legend": {"labelColor": "var(--ink)", "labelFontSize": 12, "symbolStrokeWidth": 2},
    "text": {"color": "var(--ink)", "fontSize": 11.5},
    "header": {"labelColor": "var(--ink)"},
}


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


def light(node: Any) -> Any:
    """Return a specification with the colours of the light scheme instead of CSS variables."""
    if isinstance(node, dict):
        return {key: light(value) for key, value in node.items()}
    if isinstance(node, list):
        return [light(value) for value in node]
    found = re.fullmatch(r"var\(--(\w+)\)", node) if isinstance(node, str) else None
    return LIGHT[found[1]] if found else node
