"""The charts: a table in, a Vega-Lite chart out. `render` turns one into SVG or PNG; `tools.plots` into a DVC template.

To add a chart to the page: write its function here, and give it a row in CHARTS.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import cycle, islice
from typing import Any

import altair as alt
import pandas as pd

from pipeline.reporting import tables

INK, QUIET, RULE, WRONG = "var(--ink)", "var(--quiet)", "var(--rule)", "var(--wrong)"  # see `render`
COLORS = [f"var(--s{number})" for number in range(7)]
SHAPES = ["circle", "square", "triangle-up", "diamond", "cross", "triangle-down", "triangle-right"]
PERCENT = alt.Axis(format=".1~%", tickCount=5)
WIDTH = 300
TITLES = {"seconds_per_1000_images": "seconds per 1,000 images", "size_mb": "MB of the model file"}
DASHES = alt.StrokeDash("images:N", scale=alt.Scale(domain=["validation", "training"], range=[[1, 0], [4, 3]]))


@dataclass(frozen=True)
class Chart:
    """A chart of the page: the section that it stands in, its caption, and how it is drawn from the files."""

    section: str
    draw: Callable[[], alt.TopLevelMixin]
    caption: str = ""


def names(table: pd.DataFrame, field: str = "candidate") -> dict[str, Any]:
    """Return the encodings of colour and shape by name; the ensemble, which comes last, has the first colour."""
    order = sorted(table[field].unique(), key=lambda name: name != "ensemble")
    first = 0 if "ensemble" in order else 1
    colors, shapes = (list(islice(cycle(marks), first, first + len(order))) for marks in (COLORS, SHAPES))
    legend = alt.Legend(title=None, orient="top", columns=2, columnPadding=24, symbolSize=60)
    return {
        "color": alt.Color(f"{field}:N", scale=alt.Scale(domain=order, range=colors), legend=legend),
        "shape": alt.Shape(f"{field}:N", scale=alt.Scale(domain=order, range=shapes), legend=legend),
    }


def each(table: pd.DataFrame, text: str, separator: str = "; ") -> str:
    """Return a text for each row of a table, in which `{column}` stands for the row's value."""
    return separator.join(text.format(**row) for row in table.to_dict("records"))


def intervals(table: pd.DataFrame) -> alt.LayerChart:
    """Test accuracies with their 95 % intervals. `table`: `tables.comparison`. Points: the axis does not start at 0."""
    y = alt.Y("candidate:N", sort=None, title=None)
    base = alt.Chart(table).encode(y=y, color=names(table)["color"].legend(None))
    x = alt.X("accuracy_low:Q", title="test accuracy, with 95 % interval", scale=alt.Scale(zero=False), axis=PERCENT)
    rules = base.mark_rule(strokeWidth=2).encode(x=x, x2="accuracy_high:Q")
    points = base.mark_point(filled=True, size=70, opacity=1).encode(x="accuracy:Q")
    labels = base.mark_text(dy=-10, fontWeight="bold").encode(x="accuracy:Q", text=alt.Text("accuracy:Q", format=".2%"))
    summary = each(table, "{candidate} {accuracy:.2%} ({accuracy_low:.2%} to {accuracy_high:.2%})")
    described = f"Test accuracy with 95 % interval: {summary}"
    return (rules + points + labels).properties(width=WIDTH, height=alt.Step(38), description=described)


def against(table: pd.DataFrame) -> alt.LayerChart:
    """Test accuracies beside the notebook's, which are circles. `table`: `tables.comparison`."""
    base = alt.Chart(table).encode(y=alt.Y("candidate:N", sort=None, title=None))
    x = alt.X("accuracy:Q", title="test accuracy", scale=alt.Scale(zero=False, padding=24), axis=PERCENT)
    ways = base.mark_rule(color=RULE, strokeWidth=2).encode(x=x, x2="notebook:Q")
    before = base.mark_point(filled=False, size=60, color=QUIET, opacity=1).encode(x="notebook:Q")
    now = base.mark_point(filled=True, size=70, opacity=1).encode(x=x, color=names(table)["color"].legend(None))
    texts = [
        base.mark_text(dy=-10, color=QUIET).encode(x="notebook:Q", text=alt.Text("notebook:Q", format=".2%")),
        base.mark_text(dy=-10, fontWeight="bold").encode(x="accuracy:Q", text=alt.Text("accuracy:Q", format=".2%")),
    ]
    beside = table["notebook"].map("the notebook's {:.2%}".format, na_action="ignore").fillna("not in the notebook")
    summary = each(table.assign(beside=beside), "{candidate} {accuracy:.2%}, {beside}")
    described = f"Test accuracy beside the notebook's: {summary}"
    return alt.layer(ways, before, now, *texts).properties(width=WIDTH, height=alt.Step(38), description=described)


def tradeoff(table: pd.DataFrame, cost: str) -> alt.LayerChart:
    """Test accuracy with its interval against a cost; hollow: another candidate is as accurate, and cheaper.

    `table`: `tables.comparison`. `cost`: a column of it, one of TITLES.
    """
    table = table.assign(front=tables.front(table[cost], table["accuracy"]))
    marks = names(table)
    base = alt.Chart(table).encode(x=alt.X(f"{cost}:Q", title=TITLES[cost]), color=marks["color"])
    y = alt.Y("accuracy_low:Q", title="test accuracy", scale=alt.Scale(zero=False), axis=PERCENT)
    rules = base.mark_rule(strokeWidth=2).encode(y=y, y2="accuracy_high:Q")
    filled = alt.condition("datum.front", alt.value(1), alt.value(0))
    points = base.mark_point(filled=True, size=70, opacity=1).encode(
        y="accuracy:Q", shape=marks["shape"], fillOpacity=filled, stroke=marks["color"]
    )
    summary = each(table.assign(cost=table[cost]), "{candidate} {accuracy:.2%} at {cost:.1f}")
    best = ", ".join(table.loc[table["front"], "candidate"])
    described = f"Test accuracy against {TITLES[cost]}: {summary}. Not beaten in both: {best}"
    return (rules + points).properties(width=WIDTH, height=220, description=described)


def curves(table: pd.DataFrame, column: str) -> alt.LayerChart:
    """`column`, accuracy or loss, against epochs: solid on validation, dashed on training. `table`: `tables.curves`."""
    marks = names(table, "architecture")
    axis = PERCENT if column == "accuracy" else alt.Axis(tickCount=5)
    base = alt.Chart(table).encode(
        x=alt.X("epoch:Q", axis=alt.Axis(format="d", tickMinStep=1), title="epoch"),
        y=alt.Y(f"{column}:Q", scale=alt.Scale(zero=False), title=column, axis=axis),
        color=marks["color"],
    )
    lines = base.mark_line(strokeWidth=2).encode(strokeDash=DASHES.legend(alt.Legend(title=None, orient="bottom")))
    points = base.mark_point(filled=True, size=30, opacity=1).encode(shape=marks["shape"])
    points = points.transform_filter("datum.images == 'validation'")
    last = table.assign(value=table[column]).groupby(["architecture", "images"], sort=False).tail(1)
    summary = each(last, "{architecture} {value:.4f} ({images}) after {epoch:.0f} epochs")
    described = f"Validation and training {column} against epochs. At the end: {summary}"
    return (lines + points).properties(width=WIDTH, height=220, description=described)


def confusion(table: pd.DataFrame, name: str) -> alt.LayerChart:
    """Heat map of a confusion matrix: mistakes are the darker the more frequent they are; right ones have an outline.

    `table`: reports/NAME/counts.csv: actual, predicted, count.
    """
    base = alt.Chart(table).encode(
        x=alt.X("predicted:N", sort=None, title="predicted", axis=alt.Axis(labelAngle=-50, grid=False)),
        y=alt.Y("actual:N", sort=None, title="actual", axis=alt.Axis(grid=False)),
    )
    # The first layer has every cell, since it decides the order of the classes. Only mistakes have a shade there.
    wrong = base.transform_calculate(mistakes="datum.actual != datum.predicted ? datum.count : 0")
    shade = alt.Opacity("mistakes:Q", scale=alt.Scale(type="sqrt", domainMin=0, range=[0, 0.6]), legend=None)
    wrong = wrong.mark_rect(color=WRONG).encode(opacity=shade)
    right = base.transform_filter("datum.actual == datum.predicted").mark_rect(filled=False, stroke=RULE, strokeWidth=2)
    counts = base.transform_filter("datum.count > 0").mark_text().encode(text="count:Q")
    mistakes = table[(table["actual"] != table["predicted"]) & (table["count"] > 0)]
    worst = mistakes.sort_values("count", ascending=False, kind="stable").head(3)
    summary = each(worst, "{count} of {actual} taken for {predicted}", ", ")
    total, correct = table["count"].sum(), table["count"].sum() - mistakes["count"].sum()
    described = f"Confusion matrix of {name}: {correct} of {total} test images right. "
    described += f"Most frequent mistakes: {summary}" if summary else "No mistakes"
    return (wrong + right + counts).properties(width=WIDTH, height=WIDTH, description=described)


def mistaken(table: pd.DataFrame) -> alt.Chart:
    """Share of each class's test images that were taken for another class: a bar a candidate.

    `table`: `tables.mistaken`: candidate, class, mistaken.
    """
    base = alt.Chart(table).mark_bar()
    bars = base.encode(
        x=alt.X("mistaken:Q", title="mistaken, of the class's test images", axis=PERCENT),
        y=alt.Y("class:N", sort=list(table["class"].unique()), title=None),
        yOffset=alt.YOffset("candidate:N", sort=None),
        color=names(table)["color"],
    )
    hardest = table.sort_values("mistaken", ascending=False, kind="stable").drop_duplicates("candidate")
    described = "Mistakes by class. The hardest class of " + each(hardest, "{candidate}: {class}, {mistaken:.1%}")
    return bars.properties(width=WIDTH, height=alt.Step(9), description=described)


def reliability(table: pd.DataFrame, name: str) -> alt.LayerChart:
    """Accuracy against confidence: a disc a bin whose area is its number of images. `table`: reliability.csv."""
    line = alt.Chart(pd.DataFrame({"x": [0, 1], "y": [0, 1]})).mark_line(strokeDash=[4, 4], color=QUIET)
    base = alt.Chart(table).mark_circle(color=COLORS[0], opacity=0.7)
    bins = base.encode(
        x=alt.X("confidence:Q", title="confidence", scale=alt.Scale(domain=[0, 1]), axis=PERCENT),
        y=alt.Y("accuracy:Q", title="accuracy", scale=alt.Scale(domain=[0, 1]), axis=PERCENT),
        size=alt.Size("images:Q", legend=None, scale=alt.Scale(range=[20, 300])),
    )
    summary = each(table, "{confidence:.0%}: {accuracy:.0%} of {images}")
    described = f"Reliability of {name}: accuracy by mean confidence of the bin. {summary}"
    return (line.encode(x="x:Q", y="y:Q") + bins).properties(width=200, height=200, description=described)


def helps(table: pd.DataFrame) -> alt.LayerChart:
    """Test images of each class that only the vote has right, to the right, and that only its best member has.

    `table`: reports/ensemble/helps.csv: class, helped, harmed.
    """
    base = alt.Chart(table).encode(y=alt.Y("class:N", sort=list(table["class"]), title=None))
    x = alt.X("helped:Q", title="images lost (left) and won (right) by the vote")
    won = base.mark_bar(color=COLORS[0], height={"band": 0.6}).encode(x=x)
    lost = base.transform_calculate(lost="-datum.harmed").mark_bar(filled=False, stroke=QUIET, height={"band": 0.6})
    described = "Test images that the vote won and lost, by class: " + each(
        table, "{class} {helped} won, {harmed} lost"
    )
    return (won + lost.encode(x="lost:Q")).properties(width=WIDTH, height=alt.Step(22), description=described)


# What the page shows, by the name of the picture.
CHARTS = {
    "intervals": Chart("results", lambda: intervals(tables.comparison()), "The axis does not start at 0."),
    "against": Chart("results", lambda: against(tables.comparison()), "Circles: the notebook."),
    "time": Chart("pareto", lambda: tradeoff(tables.comparison(), "seconds_per_1000_images")),
    "size": Chart("pareto", lambda: tradeoff(tables.comparison(), "size_mb")),
    "accuracy": Chart("curves", lambda: curves(tables.curves(), "accuracy")),
    "loss": Chart("curves", lambda: curves(tables.curves(), "loss")),
    "mistaken": Chart("classes", lambda: mistaken(tables.mistaken()), "Shorter is better."),
    "helps": Chart("vote", lambda: helps(tables.read("ensemble", "helps"))),
}
