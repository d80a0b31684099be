"""`make bench` or `python -m benchmarks [NAME...]`: measures, and writes results/ratios.csv and results/ratios.png."""

import importlib
import sys

import matplotlib
from tabulate import tabulate

from benchmarks import common
from pipeline import errors
from pipeline.files import replacing

matplotlib.use("Agg")
import matplotlib.pyplot as plt

NAMES = ("notebook", "scratch", "throughput", "inference")


def main() -> None:
    unknown = set(sys.argv[1:]) - set(NAMES)
    if unknown:
        raise errors.UserError(f"no benchmark {', '.join(sorted(unknown))}; known: {', '.join(NAMES)}")
    for name in sys.argv[1:] or NAMES:
        ratios = importlib.import_module(f"benchmarks.{name}").main()
        others = [row for row in common.read("ratios") if row["benchmark"] != name]
        for other in others:
            other.pop("machine")
        rows = [{"benchmark": name} | ratio | {"ratio": share(ratio)} for ratio in ratios]
        if others + rows:
            common.write("ratios", sorted(others + rows, key=lambda row: NAMES.index(row["benchmark"])))
    picture()
    with replacing(common.RESULTS / "README.md") as temporary:
        temporary.write_text(page())


def share(ratio: dict) -> float | str:
    """Ours over theirs; empty where one of the two never got there."""
    return ratio["ours"] / ratio["theirs"] if ratio["ours"] and ratio["theirs"] else ""


def picture() -> None:
    """Curves of accuracy against seconds, and shares of the machine's peak, from the CSV files."""
    figure, axes = plt.subplots(1, 3, figsize=(15, 4))
    titles = {"notebook": "pretrained MobileNetV2", "scratch": "custom CNN, from scratch"}
    for axis, (name, title) in zip(axes, titles.items(), strict=False):
        rows = common.read(name)
        for method in sorted({row["method"] for row in rows}, key="ours".__ne__):
            points = [(float(r["seconds"]), float(r["val_accuracy"]) * 100) for r in rows if r["method"] == method]
            axis.plot(*zip(*points, strict=True), marker=".", label=method)
        axis.set(title=title, xlabel="seconds, all that comes before included", ylabel="validation accuracy, %")
        axis.grid(alpha=0.3)
        axis.legend()
    rows = common.read("throughput")[::-1]
    axes[2].barh([row["stage"] for row in rows], [float(row["share"]) * 100 for row in rows])
    axes[2].set(title="GFLOP/s over a matrix product's", xlabel="%", xlim=(0, 100))
    figure.tight_layout()
    with replacing(common.RESULTS / "benchmarks.png") as temporary:
        figure.savefig(temporary, dpi=110, metadata={"Software": None})
    print(f"{common.RESULTS.name}/benchmarks.png")


def page() -> str:
    """All CSV files as tables in Markdown, each under what its module says it is."""
    parts = ["# Measured by `make bench` and `python -m benchmarks.seeds`", "![Curves and shares](benchmarks.png)"]
    for name in ("ratios", "seeds", *NAMES):
        rows = common.read(name)
        if rows:
            title = "ours over theirs" if name == "ratios" else importlib.import_module(f"benchmarks.{name}").__doc__
            parts += [f"## {name}", title.strip(), tabulate(rows, headers="keys", tablefmt="github")]
    return "\n\n".join(parts) + "\n"


if __name__ == "__main__":
    errors.run(main)
