"""The charts of the report's page: tables in, SVG out. `marks`: the number of each candidate's colour and shape."""

import itertools

import pandas as pd
from markupsafe import Markup

from pipeline.reporting.svg import Scale, across, along, around, bar, element, line, mark, path, percent, picture, text

WIDTH = 380
LEFT, RIGHT = 40, 372  # of the area within the axes
NAMES = 128  # where names of candidates end
CLASSES = 92  # where the class's row begins
ROW = 38  # height of a candidate's


def intervals(scores: dict[str, dict[str, float]], marks: dict[str, int]) -> Markup:
    """Test accuracies with their 95 % intervals. `scores`: figures of `scoring.score`."""
    top, bottom = 8, 8 + ROW * len(scores)
    ends = [figures[key] for figures in scores.values() for key in ("accuracy_low", "accuracy_high")]
    scale = around(ends, NAMES + 10, RIGHT - 8)
    parts, said = across(scale, top, bottom, "test accuracy, %, with 95 % interval", percent), []
    for index, (name, figures) in enumerate(scores.items()):
        y = top + ROW * (index + 0.5) + 5
        low, value, high = figures["accuracy_low"], figures["accuracy"], figures["accuracy_high"]
        parts.append(text(NAMES, y + 4, name, "end"))
        parts.append(line(scale(low), y, scale(high), y, f"s{marks[name]} whisker"))
        parts += [line(scale(end), y - 4, scale(end), y + 4, f"s{marks[name]} whisker") for end in (low, high)]
        parts.append(mark(marks[name], scale(value), y))
        parts.append(text(scale(value), y - 9, f"{value * 100:.2f}", "middle", class_="value"))
        said.append(f"{name} {value:.2%} ({low:.2%} to {high:.2%})")
    return picture(WIDTH, bottom + 42, f"Test accuracy with 95 % interval: {'; '.join(said)}", *parts)


def against(scores: dict[str, dict[str, float]], notebook: dict[str, float], marks: dict[str, int]) -> Markup:
    """Test accuracies beside the notebook's, which are circles."""
    top, bottom = 8, 8 + ROW * len(scores)
    known = {name: notebook[name] for name in scores if name in notebook}
    scale = around([*known.values(), *(of["accuracy"] for of in scores.values())], NAMES + 10, RIGHT - 8)
    parts, said = across(scale, top, bottom, "test accuracy, %", percent), []
    for index, (name, figures) in enumerate(scores.items()):
        y, value = top + ROW * (index + 0.5) + 5, figures["accuracy"]
        parts.append(text(NAMES, y + 4, name, "end"))
        if name in known:
            parts.append(line(scale(known[name]), y, scale(value), y, "way"))
            parts.append(element("circle", cx=scale(known[name]), cy=y, r=4.2, class_="notebook"))
            parts.append(text(scale(known[name]), y - 9, f"{known[name] * 100:.2f}", "middle", class_="tick"))
        parts.append(mark(marks[name], scale(value), y))
        told = f"the notebook's {known[name]:.2%}" if name in known else "not in the notebook"
        said.append(f"{name} {value:.2%}, {told}")
    return picture(WIDTH, bottom + 42, f"Test accuracy beside the notebook's: {'; '.join(said)}", *parts)


def front(points: dict[str, tuple[float, float]]) -> list[str]:
    """Names of the points (cost, gain) that no other one beats in one and equals or beats in the other, by cost."""
    chosen, best = [], float("-inf")
    for name in sorted(points, key=lambda name: (points[name][0], -points[name][1])):
        if points[name][1] > best:
            chosen.append(name)
            best = points[name][1]
    return chosen


def pareto(costs: dict[str, float], scores: dict[str, dict[str, float]], label: str, marks: dict[str, int]) -> Markup:
    """Test accuracy with its interval against a cost. The front is a line, and its points are filled."""
    top, bottom = 30, 250
    x = Scale(0, max(costs.values()) * 1.1, LEFT + 8, RIGHT)
    y = around([scores[name][key] for name in costs for key in ("accuracy_low", "accuracy_high")], bottom, top)
    points = {name: (cost, scores[name]["accuracy"]) for name, cost in costs.items()}
    best = front(points)
    parts = across(x, top, bottom, label, lambda value: f"{value:g}")
    parts += along(y, x.start, RIGHT, "test accuracy, %", percent)
    places = [(x(points[name][0]), y(points[name][1])) for name in best]
    corners = [(after[0], before[1]) for before, after in itertools.pairwise(places)]
    steps = [place for pair in zip(places, [*corners, (RIGHT, places[-1][1])], strict=True) for place in pair]
    parts.append(path(steps, "front"))
    for name, (cost, accuracy) in points.items():
        low, high = (y(scores[name][key]) for key in ("accuracy_low", "accuracy_high"))
        parts.append(line(x(cost), low, x(cost), high, f"s{marks[name]} whisker"))
        parts.append(mark(marks[name], x(cost), y(accuracy), hollow=name not in best))
    said = "; ".join(f"{name} {accuracy:.2%} at {cost:.1f}" for name, (cost, accuracy) in points.items())
    said = f"Test accuracy against {label}: {said}. On the front: {', '.join(best)}"
    return picture(WIDTH, bottom + 42, said, *parts)


def curves(histories: dict[str, pd.DataFrame], column: str, marks: dict[str, int]) -> Markup:
    """`column`, accuracy or loss, against epochs: solid on validation, dashed on training."""
    top, bottom, said = 30, 250, percent if column == "accuracy" else "{:g}".format
    values = [value for history in histories.values() for key in (column, f"val_{column}") for value in history[key]]
    last = max(history["epoch"].max() for history in histories.values())
    x, y = Scale(1, max(last, 2), LEFT + 8, RIGHT - 6, least=1), around(values, bottom, top, 0.04)
    parts = across(x, top, bottom, "epoch")
    parts += along(y, x.start, RIGHT - 6, f"{column}, %" if column == "accuracy" else column, said)
    ends = []
    for name, history in histories.items():
        kind = f"s{marks[name]}"
        for key, more in ((column, "training"), (f"val_{column}", "curve")):
            parts.append(
                path([(x(e), y(v)) for e, v in zip(history["epoch"], history[key], strict=True)], f"{kind} {more}")
            )
        end = history.iloc[-1]
        parts.append(mark(marks[name], x(end["epoch"]), y(end[f"val_{column}"])))
        ends.append(f"{name} {end[f'val_{column}']:.4f} (training {end[column]:.4f}) after {end['epoch']:.0f} epochs")
    label = f"Validation {column}, and training {column}, against epochs. At the end: {'; '.join(ends)}"
    return picture(WIDTH, bottom + 42, label, *parts)


def confusion(name: str, counts: pd.DataFrame) -> Markup:
    """Heat map of `scoring.confusion`: mistakes are the darker the more there are; what is right has an outline."""
    cell, left, top = 31, CLASSES, 8
    shares = counts.div(counts.sum(axis=1).clip(lower=1), axis=0)
    wrong = [shares.iloc[i, j] for i in range(len(counts)) for j in range(len(counts)) if i != j]
    strongest = max(wrong) or 1.0
    size = cell * len(counts)
    parts, found = [], []
    for i, actual in enumerate(counts.index):
        parts.append(text(left - 8, top + (i + 0.5) * cell + 4, actual, "end", class_="tick"))
        for j, predicted in enumerate(counts.columns):
            x, y, count = left + j * cell, top + i * cell, int(counts.iloc[i, j])
            if i == j:
                parts.append(bar(x + 1.5, y + 1.5, cell - 3, cell - 3, "right"))
            elif count:
                strength = (shares.iloc[i, j] / strongest) ** 0.7 * 0.6
                parts.append(bar(x + 0.5, y + 0.5, cell - 1, cell - 1, "wrong", fill_opacity=f"{strength:.2f}"))
                found.append((count, f"{count} of {actual} taken for {predicted}"))
            if count:
                parts.append(text(x + cell / 2, y + cell / 2 + 4, str(count), "middle", class_="count"))
    for j, predicted in enumerate(counts.columns):
        x, y = left + (j + 0.5) * cell + 4, top + size + 10
        turned = f"rotate(-50 {x:.1f} {y:.1f})"
        parts.append(text(x, y, predicted, "end", class_="tick", transform=turned))
    parts.append(text(left + size / 2, top + size + 78, "predicted; rows: actual", "middle", class_="label"))
    right, total = counts.to_numpy().trace(), counts.to_numpy().sum()
    worst = ", ".join(said for _, said in sorted(found, key=lambda pair: -pair[0])[:3])
    told = f"Most frequent mistakes: {worst}" if found else "No mistakes"
    label = f"Confusion matrix of {name}: {right} of {total} test images right. {told}"
    return picture(left + size + 4, top + size + 86, label, *parts)


def mistaken(reports: dict[str, pd.DataFrame], marks: dict[str, int]) -> Markup:
    """Of each class the share of its test images that were taken for another one: a bar a candidate.

    `reports`: of `scoring.per_class`, averages left out.
    """
    names = list(next(iter(reports.values()))["class"])
    thick, gap, top = 8, 9, 4
    row = thick * len(reports) + gap
    bottom, left = top + row * len(names), CLASSES
    most = max((1 - report["recall"]).max() for report in reports.values())
    x = Scale(0, most * 1.05 or 1, left, RIGHT)
    parts = across(x, top, bottom, "mistaken, % of the class's test images", percent)
    for i, name in enumerate(names):
        y = top + row * i + gap / 2
        parts.append(text(left - 8, y + (row - gap) / 2 + 4, name, "end"))
        for j, (candidate, report) in enumerate(reports.items()):
            share = 1 - report["recall"].iloc[i]
            parts.append(bar(left, y + thick * j, x(share) - left, thick - 1, f"s{marks[candidate]} bar"))
    hardest = {
        candidate: max(zip(1 - report["recall"], report["class"], strict=True)) for candidate, report in reports.items()
    }
    said = "; ".join(f"{candidate}: {name}, {share:.1%}" for candidate, (share, name) in hardest.items())
    return picture(WIDTH, bottom + 42, f"Mistakes by class. The hardest class of {said}", *parts)


def reliability(name: str, rows: pd.DataFrame, number: int) -> Markup:
    """`scoring.reliability`: accuracy against confidence, a disc a bin whose area is its share of the images."""
    top, bottom = 30, 244
    x, y = Scale(0, 1, 34, 248), Scale(0, 1, bottom, top)
    parts = across(x, top, bottom, "confidence, %", percent)
    parts += along(y, x.start, x.end, "accuracy, %", percent)
    parts.append(line(x(0), y(0), x(1), y(1), "ideal"))
    most = rows["images"].max()
    for row in rows.itertuples():
        place = x(row.confidence), y(row.accuracy)
        parts.append(line(place[0], y(row.confidence), *place, f"s{number} gap"))
        parts.append(
            element("circle", cx=place[0], cy=place[1], r=2 + 7 * (row.images / most) ** 0.5, class_=f"s{number} bin")
        )
    bins = "; ".join(f"{row.confidence:.0%}: {row.accuracy:.0%} of {row.images}" for row in rows.itertuples())
    return picture(260, bottom + 42, f"Reliability of {name}: accuracy by mean confidence of the bin. {bins}", *parts)


def helps(rows: pd.DataFrame) -> Markup:
    """`scoring.helps`: to the right the images of a class that only the vote has right, to the left those it lost."""
    row, top, left = 24, 22, CLASSES
    bottom = top + row * len(rows)
    most = max(rows["helped"].max(), rows["harmed"].max(), 1)
    x = Scale(-most, most, left + 28, RIGHT - 28)
    parts = [text(x(0) - 8, 14, "lost", "end", class_="label"), text(x(0) + 8, 14, "won by the vote", class_="label")]
    for i, of in enumerate(rows.to_dict("records")):
        y = top + row * i + 4
        parts.append(text(left - 8, y + 12, of["class"], "end"))
        parts.append(bar(x(0), y, x(of["helped"]) - x(0), row - 8, "s0 bar"))
        parts.append(bar(x(-of["harmed"]), y, x(0) - x(-of["harmed"]), row - 8, "lost"))
        parts.append(text(x(of["helped"]) + 5, y + 12, str(of["helped"]), class_="tick"))
        parts.append(text(x(-of["harmed"]) - 5, y + 12, str(of["harmed"]), "end", class_="tick"))
    parts.append(line(x(0), top, x(0), bottom, "zero"))
    said = "; ".join(f"{of['class']} {of['helped']} won, {of['harmed']} lost" for of in rows.to_dict("records"))
    return picture(WIDTH, bottom + 6, f"Test images that the vote won and lost, by class: {said}", *parts)
