"""The charts of the report's page."""

import pandas as pd
import pytest

from pipeline.reporting import charts, svg


def test_the_front_has_what_no_other_beats():
    points = {"dear": (9, 0.9), "cheap": (1, 0.5), "worse": (2, 0.4), "dearer": (3, 0.5), "good": (4, 0.8)}
    assert charts.front(points) == ["cheap", "good", "dear"]
    assert charts.front({"b": (1, 0.5), "a": (1, 0.7)}) == ["a"]


@pytest.mark.parametrize(("low", "high"), [(0, 1), (0.928, 0.961), (1, 16), (0, 4.66), (0.0004, 0.0007), (0, 31000)])
def test_ticks_are_few_round_and_within(low, high):
    scale = svg.Scale(low, high, 0, 100)
    ticks = scale.ticks()
    assert 2 <= len(ticks) <= 6
    assert all(low - 1e-12 <= tick <= high + 1e-12 for tick in ticks)
    assert max(len(svg.number(tick)) for tick in ticks) <= 7
    assert (scale(low), scale(high)) == (0, 100)


def test_equal_values_have_a_scale_too():
    scale = svg.around([0.1, 0.1], 0, 100)
    assert scale(0.1) == pytest.approx(50)
    assert svg.around([0.0], 0, 100)(0) == pytest.approx(50)


def test_names_are_text_not_markup():
    drawn = svg.element("text", "<b>&", aria_label='"<i>', class_="a")
    assert drawn == '<text aria-label="&#34;&lt;i&gt;" class="a">&lt;b&gt;&amp;</text>'


def test_a_matrix_without_mistakes_and_a_class_without_images_can_be_drawn():
    counts = pd.DataFrame([[5, 0], [0, 0]], index=["a", "b"], columns=["a", "b"])
    drawn = charts.confusion("somebody", counts)
    assert "5 of 5 test images right. No mistakes" in drawn
    assert drawn.count(">5<") == 1


def test_bars_of_no_mistakes_can_be_drawn():
    report = pd.DataFrame({"class": ["a", "b"], "recall": [1.0, 1.0]})
    assert ", 0.0%" in charts.mistaken({"somebody": report}, {"somebody": 1})


def test_a_single_epoch_is_a_point():
    history = pd.DataFrame({"epoch": [1], "loss": [2.0], "accuracy": [0.1], "val_loss": [2.1], "val_accuracy": [0.2]})
    drawn = charts.curves({"somebody": history}, "loss", {"somebody": 1})
    assert "nan" not in drawn
    assert ">1.5<" not in drawn  # there is no half of an epoch
