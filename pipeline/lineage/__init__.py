"""Where a result comes from, verified: a link that holds is a line, one that does not is an error."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from pipeline.core.errors import UserError


@dataclass(frozen=True)
class Line:
    """What holds, as a line of the page that `pipeline lineage` prints."""

    depth: int  # of its indentation
    text: str
    detail: bool = False  # printed with --verbose only


class Broken(UserError):
    """A link between a result and where it comes from does not hold."""

    def __init__(self, link: str, why: str):
        super().__init__(f"broken link: {link}: {why}")


def compare(
    line: Line, link: str, stored: Mapping[str, object], files: Mapping[str, object], place: Path | str
) -> Iterator[Line]:
    """Yield `line` and a detail for each of `files`, if the store has the same. What it has besides is not looked at.

    `place`: where the files have it. Without `files` nothing is yielded. Raises Broken at the first that differs.
    """
    for key, value in files.items():
        if stored.get(key) != value:
            raise Broken(f"{link} {key}", f"{stored.get(key)} in the store, {value} in {place}")
    if files:
        yield line
    yield from (Line(line.depth + 1, f"{key} {value}", detail=True) for key, value in files.items())
