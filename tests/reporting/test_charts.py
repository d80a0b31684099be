"""The charts: what they say, that their names are text, and that extreme tables can be drawn."""

import inspect
import json
import re

import numpy as np
import pandas as pd
import pytest
import vl_convert
from PIL import Image

from pipeline.reporting import charts, montage, render, tables
from tests.conftest import ROOT
from tools import plots

COMPARISON = pd.DataFrame(
    [
        {"candidate": name, "accuracy": accuracy, "accuracy_low": accuracy - 0.01, "accuracy_high": accuracy + 0.01}
        | {"seconds_per_1000_images": cost, "size_mb": 2 * cost, "notebook": notebook}
        for name, accuracy, cost, notebook in (
            ("<b>one", 0.9, 1.0, 0.7),
            ("two", 0.8, 2.0, None),
            ("ensemble", 0.95, 3.0, 0.8),
        )
    ]
)


def test_the_front_has_what_no_other_beats():
    costs, gains = pd.Series([9, 1, 2, 3, 4]), pd.Series([0.9, 0.5, 0.4, 0.5, 0.8])
    assert tables.front(costs, gains) == [True, True, False, False, True]


@pytest.mark.parametrize(
    "chart",
    [
        charts.intervals(COMPARISON),
        charts.against(COMPARISON),
        charts.tradeoff(COMPARISON, "size_mb"),
    ],
)
def test_a_chart_says_in_its_label_what_it_shows_and_names_are_text(chart):
    drawn = render.inline(chart)
    label = re.search(r'aria-label="([^"]*)"', drawn)[1]
    assert drawn.startswith('<svg role="img" ')
    assert "&lt;b&gt;one 90.00%" in label
    assert "<b>" not in drawn
    assert "http" not in drawn


def test_every_chart_is_listed_and_every_listed_one_has_a_section_of_the_page():
    source = {name: (ROOT / "pipeline" / name).read_text() for name in ("reporting/page.py", "stages/track.py")}
    listing = (ROOT / "pipeline/reporting/charts.py").read_text().partition("CHARTS = {")[2]
    for name, function in vars(charts).items():
        if inspect.isfunction(function) and "alt." in str(inspect.signature(function).return_annotation):
            drawn = any(f"{name}(" in text for text in (listing, *source.values()))
            assert drawn, f"nobody draws {name}: give it a row in CHARTS of pipeline/reporting/charts.py"
    page = (ROOT / "pipeline/reporting/templates/report.html").read_text()
    sections = set(re.findall(r'figures\("(\w+)"', page))
    for name, chart in charts.CHARTS.items():
        assert chart.section in sections, f"{name}: the page has no section {chart.section}: {sorted(sections)}"


def test_the_charts_of_a_real_run_say_what_they_show(inside):
    for name, chart in charts.CHARTS.items():
        assert chart.draw().to_dict().get("description"), f"chart {name} needs a description"


def test_a_candidate_has_one_colour_in_all_charts_and_the_ensemble_the_first():
    scale = charts.names(COMPARISON)["color"].to_dict()["scale"]
    assert dict(zip(scale["domain"], scale["range"], strict=True))["ensemble"] == "var(--s0)"
    networks = COMPARISON[COMPARISON["candidate"] != "ensemble"].rename(columns={"candidate": "architecture"})
    without = charts.names(networks, "architecture")["color"].to_dict()["scale"]
    assert (
        dict(zip(without["domain"], without["range"], strict=True)).items()
        <= dict(zip(scale["domain"], scale["range"], strict=True)).items()
    )


def test_a_matrix_without_mistakes_and_a_class_without_images_can_be_drawn():
    counts = pd.DataFrame({"actual": ["a", "a", "b", "b"], "predicted": ["a", "b", "a", "b"], "count": [5, 0, 0, 0]})
    drawn = render.inline(charts.confusion(counts, "somebody"))
    assert "5 of 5 test images right. No mistakes" in drawn
    assert drawn.count(">5<") == 1


def test_no_two_labels_of_an_axis_are_the_same_and_none_is_left_out():
    table = COMPARISON.assign(accuracy=[0.938, 0.9355, 0.9541])
    table = table.assign(accuracy_low=table["accuracy"] - 0.005, accuracy_high=table["accuracy"] + 0.005)
    for chart in (charts.intervals(table), charts.tradeoff(table, "size_mb")):
        drawn = render.inline(chart)
        labels = re.findall(r">([\d.]+%)</text>", re.sub(r"<text[^>]*bold.*?</text>", "", drawn))
        assert len(labels) >= 4
        assert len(set(labels)) == len(labels)


def test_a_single_epoch_is_a_point():
    rows = [
        {"architecture": "a", "epoch": 1, "images": images, "accuracy": 0.1, "loss": 2.0}
        for images in ("validation", "training")
    ]
    assert "NaN" not in render.inline(charts.curves(pd.DataFrame(rows), "loss"))


@pytest.mark.parametrize("suffix", [".png", ".svg"])
def test_a_file_is_for_light_backgrounds_and_the_same_each_time(suffix, tmp_path):
    paths = [tmp_path / f"{number}{suffix}" for number in range(2)]
    for path in paths:
        render.write(charts.intervals(COMPARISON), path)
    assert paths[0].read_bytes() == paths[1].read_bytes()
    if suffix == ".png":
        assert Image.open(paths[0]).convert("RGB").getpixel((0, 0)) == (255, 255, 255)
    else:
        assert "var(--" not in paths[0].read_text()


def test_images_are_put_in_rows_and_nothing_is_a_picture_too(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (30, 32, 32, 3), "uint8")
    montage.samples(tmp_path / "samples.png", images, np.arange(30) % 3, ["a", "b", "c"])
    assert Image.open(tmp_path / "samples.png").width == 10 * montage.WIDE
    montage.pairs(tmp_path / "none.png", images, images, pd.DataFrame(columns=["image", "other"]))
    assert Image.open(tmp_path / "none.png").size


def test_the_templates_of_dvc_plots_are_written_from_the_charts():
    for name, text in plots.templates().items():
        assert (plots.FOLDER / name).read_text() == text, "run `make readme`, which writes the templates"


def test_a_matrix_of_dvc_plots_stands_below_its_revision_beside_its_candidate_with_classes_in_order():
    classes = ["truck", "cat", "bird"]  # not sorted
    counts = {("workspace", "b"): 1, ("workspace", "a"): 2, ("main", "b"): 3, ("main", "a"): 4}
    rows = [
        {"rev": rev, "candidate": name, "actual": actual, "predicted": predicted}
        | {"count": str(10 * number if actual == predicted else number)}  # as DVC reads it from a CSV file
        for (rev, name), number in counts.items()
        for actual in classes
        for predicted in classes
    ]
    text = plots.templates()["confusion.json"].replace('"<DVC_METRIC_DATA>"', json.dumps(rows))
    drawn = vl_convert.vegalite_to_svg(text, vl_version="5.8")  # which is near to the one that DVC's page has
    shown = [found for found in re.findall(r">([^<>]+)</text>", drawn) if found in (*classes, "main", "workspace", "a")]
    assert shown.index("main") < shown.index("workspace")
    assert [found for found in shown if found in classes] == classes * 4  # axes of two rows, and of two columns
    right = [int(found) // 10 for found in re.findall(r">(\d+)</text>", drawn) if int(found) >= 10]
    assert list(dict.fromkeys(right)) == [4, 2, 3, 1]
    shades = {float(found) for found in re.findall(r'fill="#c2410c"[^>]*? opacity="([\d.]+)"', drawn)}
    assert max(shades) == 0.6
    assert len(shades) == 5  # none, and one for each count
