"""What `dvc plots` and the VS Code extension draw: the project's own templates, filled with what a run left."""

import json

import pytest
import yaml

from pipeline.data import cifar10
from tests.conftest import ROOT

TEMPLATES = {path.stem: path.read_text() for path in (ROOT / ".dvc/plots").glob("*.json")}
GRAPH = yaml.safe_load((ROOT / "dvc.yaml").read_text())
MADE = {"rev", "mistakes"}  # by DVC, and by a template's transforms
HISTORIES = {"plots/history/custom_cnn.csv"}  # drawn as DVC draws any table


@pytest.fixture(scope="module")
def shown(small) -> dict:
    """What each plot is, by its name: its Vega-Lite specification, with the data, or an image's address."""
    result = small.dvc("plots", "show", "--json")
    assert (result.returncode, "failed" in result.stderr) == (0, False), result.stderr
    found = json.loads(result.stdout)
    assert "errors" not in found
    return {name: plot["content"] for name, (plot,) in found["data"].items() if plot["type"] == "vega"}


def fields(node) -> set[str]:
    if isinstance(node, list):
        return set().union(*map(fields, node))
    if isinstance(node, dict):
        own = {node["field"]} if "field" in node else set()
        return own | fields(list(node.values()))
    return set()


def test_curves_comparison_and_confusion_are_drawn(shown):
    tops = {next(iter(plot)) for plot in GRAPH["plots"]}
    assert set(shown) == tops | HISTORIES
    for name in tops:
        specification = shown[name]
        assert "<DVC_METRIC" not in json.dumps(specification), name
        assert fields(specification | {"data": {}}) <= set(specification["data"]["values"][0]) | MADE, name


def test_every_template_is_used_and_every_one_used_is_there():
    assert {next(iter(entry.values()))["template"] for entry in GRAPH["plots"]} == set(TEMPLATES)
    for text in TEMPLATES.values():
        assert "vega-lite" in json.loads(text)["$schema"]


def test_the_tables_have_what_was_measured(small, shown):
    curves = shown["accuracy against epochs"]["data"]["values"]
    epochs = len((small.folder / "plots/history/custom_cnn.csv").read_text().splitlines()) - 1
    assert [row["images"] for row in curves] == ["validation"] * epochs + ["training"] * epochs
    comparison = shown["test accuracy against time"]["data"]["values"]
    for row in comparison:
        metrics = small.read(f"metrics/{row['candidate']}.json")
        assert float(row["accuracy"]) == pytest.approx(metrics["test"]["accuracy"], abs=1e-12)
    counts = shown["confusion matrices, test images"]["data"]["values"]
    assert [row["predicted"] for row in counts] == list(cifar10.CLASSES) * 10 * 2
    assert sum(int(row["count"]) for row in counts) == 200 * 2


def test_the_extensions_own_form_keeps_its_anchors(small):
    """VS Code asks for templates and data apart, and fills in colours and sizes itself."""
    result = small.dvc("plots", "diff", "--json", "--split")
    assert result.returncode == 0, result.stderr
    (plot,) = json.loads(result.stdout)["data"]["test accuracy against time"]
    assert {"<DVC_METRIC_DATA>", "<DVC_METRIC_COLOR>"} <= set(plot["anchor_definitions"])
    assert "<DVC_METRIC_DATA>" in json.dumps(plot["content"])
