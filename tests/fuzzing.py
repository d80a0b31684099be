"""Any bytes for whatever reads them: how many cases, how they are made, and what an error must be."""

import os

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

CASES = int(os.environ.get("FUZZ_CASES", "60"))
fuzzed = settings(
    max_examples=CASES,
    deadline=None,
    derandomize="FUZZ_CASES" not in os.environ,  # `make test` is to find the same tomorrow
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def one_line(error: Exception) -> None:
    assert str(error) and str(error).isprintable()


def changed(data: st.DataObject, content: bytes, parts: tuple[bytes, ...] = (b"",)) -> bytes:
    """The content with some bytes changed, cut out or put in, perhaps one of `parts` among them."""
    place = data.draw(st.integers(0, len(content)))
    length = data.draw(st.integers(0, 64))
    new = data.draw(st.binary(max_size=64) | st.sampled_from(parts))
    return content[:place] + new + content[place + length :]
