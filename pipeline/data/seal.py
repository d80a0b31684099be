"""The seal on the test labels: only what reports reads them, and only when nothing is left to choose."""

import sys

from pipeline.core import paths
from pipeline.core.errors import UserError

READERS = {  # modules that Python was started with
    "pipeline.stages.evaluate",
    "pipeline.stages.ensemble",  # once its choice is written
    "benchmarks.seeds",  # scores finished models, a row of a table each
}


def check() -> None:
    """Raise UserError unless this process may read the test labels now."""
    reader = getattr(sys.modules["__main__"].__spec__, "name", "this program")
    if reader not in READERS:
        raise UserError(
            f"the test labels are sealed, and {reader} may not read them: only {', '.join(sorted(READERS))}"
        )
    if reader == "pipeline.stages.ensemble" and not paths.VOTE.exists():
        raise UserError(f"the test labels are sealed until {paths.VOTE} says what was chosen without them")
