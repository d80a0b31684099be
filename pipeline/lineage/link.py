"""Links between a result and where it comes from: one that holds is a line, one that does not is an error."""

from dataclasses import dataclass

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
