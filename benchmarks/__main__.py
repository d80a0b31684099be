"""`make bench` or `python -m benchmarks [NAME...]`: measures, and writes results/, the ratios into ratios.csv."""

import importlib
import sys

from benchmarks import common, page
from pipeline.core import errors

NAMES = ("notebook", "scratch", "throughput", "inference", "edge", "serving")


def main() -> None:
    unknown = set(sys.argv[1:]) - set(NAMES)
    if unknown:
        raise errors.UserError(f"no benchmark {', '.join(sorted(unknown))}; known: {', '.join(NAMES)}")
    for name in sys.argv[1:] or NAMES:
        ratios = importlib.import_module(f"benchmarks.{name}").main()
        others = [row for row in common.read("ratios") if row["benchmark"] != name]
        rows = others + [{"benchmark": name} | ratio | {"ratio": share(ratio)} for ratio in ratios]
        if rows:
            common.write("ratios", sorted(rows, key=lambda row: NAMES.index(row["benchmark"])))
    page.write()


def share(ratio: dict) -> float | str:
    """The first over the second; empty where one of the two never got there."""
    return ratio["first"] / ratio["second"] if ratio["first"] and ratio["second"] else ""


if __name__ == "__main__":
    errors.run(main)
