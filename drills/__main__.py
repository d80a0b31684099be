"""Every fault that the project claims to stand, injected: `python -m drills` (or `make drill`), a line for each.

A line has what was injected, what was seen, and whether the claim holds. Quick faults are tests with the mark `fault`;
the others are modules here, each with `faults()`, which yields such lines. A chapter, such as the faults of
the surroundings, has its name before each line. Exits with 1 if any claim does not hold.
"""

import sys
from collections.abc import Iterator

import pytest

from drills import gate, kills, points, several

Line = tuple[str, str, bool | None]  # injected, seen, held; None: it could not be tried here


class Faults:
    """A pytest plugin that prints a line for each test."""

    def __init__(self):
        self.injected: dict[str, str] = {}
        self.lines: list[Line] = []

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        marks = {item: item.get_closest_marker("fault") or pytest.mark.fault("").mark for item in items}
        items.sort(key=lambda item: chapter(marks[item]))  # a chapter's faults come one after the other
        for item, mark in marks.items():
            case = f": {item.callspec.id}" if hasattr(item, "callspec") else ""
            self.injected[item.nodeid] = f"{chapter(mark)}{mark.args[0]}{case}"

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call" or not report.passed:
            outcome = "what the test demands" if report.passed else str(report.longrepr).strip().splitlines()[-1]
            seen = dict(report.user_properties).get("seen", outcome)
            held = None if report.skipped else report.passed
            self.lines.append(said((self.injected[report.nodeid], seen, held)))


def chapter(mark: pytest.Mark) -> str:
    """Return what a line begins with if its fault belongs to a chapter."""
    return f"{mark.kwargs['chapter']}: " if mark.kwargs else ""


def said(line: Line) -> Line:
    injected, seen, held = line
    verdict = {True: "holds", False: "DOES NOT HOLD", None: "NOT TRIED"}[held]
    print(f"{injected} | {' '.join(seen.split())[:160]} | {verdict}", flush=True)
    return line


def slow() -> Iterator[Line]:
    for module in (points, several, kills, gate):
        yield from module.faults()


def main() -> None:
    quick = Faults()
    pytest.main(["-o", "addopts=", "-m", "fault", "-p", "no:terminal", "tests"], plugins=[quick])
    lines = quick.lines + [said(line) for line in slow()]
    held, failed, untried = (sum(line[2] is verdict for line in lines) for verdict in (True, False, None))
    print(f"{len(lines)} faults, {held} claims hold, {failed} do not, {untried} were not tried")
    sys.exit(failed > 0 or not quick.lines)


if __name__ == "__main__":
    main()
