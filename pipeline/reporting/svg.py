"""SVG written by hand: elements, scales, axes, marks.

Text and axes take the colour of the text around them, so that a picture follows the page from light to dark. A
candidate has a shape and one of the classes s0 to s6, whose colours the page's style sets.
"""

import math
from dataclasses import dataclass

from markupsafe import Markup, escape

MARKS = 7  # s0 is the ensemble's; the networks share the others, again from s1 after the last
# Around (0, 0), of about the same area.
SHAPES = (
    "M0-6 1.8-1.9 6-1.9 2.6.8 3.9 5.4 0 2.7-3.9 5.4-2.6.8-6-1.9-1.8-1.9Z",  # star
    "M-4.2 0A4.2 4.2 0 1 1 4.2 0A4.2 4.2 0 1 1-4.2 0Z",  # disc
    "M-3.8-3.8H3.8V3.8H-3.8Z",  # square
    "M0-5 4.8 3.6H-4.8Z",  # triangle
    "M0-5.2 5.2 0 0 5.2-5.2 0Z",  # diamond
    "M0 5 4.8-3.6H-4.8Z",  # triangle that stands on its head
    "M-1.7-5H1.7V-1.7H5V1.7H1.7V5H-1.7V1.7H-5V-1.7H-1.7Z",  # cross
)


def element(tag: str, *children: str, **attributes: str | float) -> Markup:
    """An element. In an attribute's name `_` stands for `-`, a last one for nothing: `class_`."""
    named = {name.rstrip("_").replace("_", "-"): value for name, value in attributes.items()}
    said = "".join(f' {name}="{escape(_said(value))}"' for name, value in named.items())
    inside = "".join(escape(child) for child in children)
    return Markup(f"<{tag}{said}>{inside}</{tag}>" if inside else f"<{tag}{said}/>")  # noqa: S704  all is escaped


def _said(value: str | float) -> str:
    return value if isinstance(value, str) else f"{value:.1f}".removesuffix(".0").replace("-0.", "-.")


def picture(width: float, height: float, label: str, *children: str) -> Markup:
    """The root: `label` is what is said of it to somebody who does not see it."""
    return element("svg", *children, viewBox=f"0 0 {width:g} {height:g}", role="img", aria_label=label)


def text(x: float, y: float, said: str, anchor: str = "start", **attributes: str | float) -> Markup:
    more = {} if anchor == "start" else {"text_anchor": anchor}
    return element("text", said, x=x, y=y, **more, **attributes)


def line(x1: float, y1: float, x2: float, y2: float, kind: str) -> Markup:
    return element("path", d=f"M{_said(x1)} {_said(y1)}L{_said(x2)} {_said(y2)}", class_=kind)


def path(points: list[tuple[float, float]], kind: str) -> Markup:
    """A line through points, in the places of the picture."""
    return element("path", d="M" + "L".join(f"{_said(x)} {_said(y)}" for x, y in points), class_=kind)


def bar(x: float, y: float, width: float, height: float, kind: str, **attributes: str | float) -> Markup:
    return element("rect", x=x, y=y, width=max(width, 0), height=height, class_=kind, **attributes)


def mark(number: int, x: float, y: float, hollow: bool = False) -> Markup:
    """The mark of a candidate; hollow, it is the page's colour inside."""
    kind = f"s{number}{' hollow' if hollow else ''}"
    return element("path", d=SHAPES[number], transform=f"translate({_said(x)} {_said(y)})", class_=kind)


def legend(number: int) -> Markup:
    """A mark beside text that says whose it is."""
    return element("svg", mark(number, 7, 7), viewBox="0 0 14 14", class_="key", aria_hidden="true")


@dataclass(frozen=True)
class Scale:
    """Values between `low` and `high`, linear, to places between `start` and `end`."""

    low: float
    high: float
    start: float
    end: float
    least: float = 0.0  # between two ticks

    def __call__(self, value: float) -> float:
        return self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start)

    def ticks(self, count: int = 5) -> list[float]:
        """At most `count` + 1 round values within."""
        rough = max((self.high - self.low) / count, self.least)
        power = 10 ** math.floor(math.log10(rough))
        step = next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= rough * 0.999)
        first, last = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
        return [number * step for number in range(first, last + 1)]


def around(values: list[float], start: float, end: float, share: float = 0.08) -> Scale:
    """A scale that holds all values, with some room beyond the outermost."""
    low, high = min(values), max(values)
    room = (high - low) * share or abs(high) * share or 1.0
    return Scale(low - room, high + room, start, end)


def percent(value: float) -> str:
    """A fraction as an axis says it."""
    return f"{round(value * 100, 6):g}"


def number(value: float) -> str:
    return f"{round(value, 9):g}"


def across(scale: Scale, top: float, bottom: float, label: str, said=number) -> list[Markup]:
    """The horizontal axis below a picture: lines, values, what they are."""
    parts = [line(scale(value), top, scale(value), bottom, "grid") for value in scale.ticks()]
    parts += [text(scale(value), bottom + 16, said(value), "middle", class_="tick") for value in scale.ticks()]
    return [*parts, text((scale.start + scale.end) / 2, bottom + 34, label, "middle", class_="label")]


def along(scale: Scale, left: float, right: float, label: str, said=number) -> list[Markup]:
    """The vertical axis at the left; what its values are stands above it."""
    parts = [line(left, scale(value), right, scale(value), "grid") for value in scale.ticks()]
    parts += [text(left - 6, scale(value) + 4, said(value), "end", class_="tick") for value in scale.ticks()]
    return [*parts, text(0, 14, label, class_="label")]
