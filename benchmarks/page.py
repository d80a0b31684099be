"""results/README.md and results/benchmarks.png, from the CSV files beside them."""

import importlib
import statistics

import matplotlib
from tabulate import tabulate

from benchmarks import common
from pipeline.core.files import replacing

matplotlib.use("Agg")
import matplotlib.pyplot as plt

SECTIONS = ("seeds", "notebook", "scratch", "throughput", "inference", "edge", "serving")


def write() -> None:
    """Write both."""
    picture()
    parts = ["# Measured by `make bench` and `python -m benchmarks.seeds`", "![Curves and shares](benchmarks.png)"]
    if ratios := common.read("ratios"):
        parts += [
            "## ratios",
            "What a figure names first over what it names second.",
            tabulate(ratios, headers="keys", tablefmt="github"),
        ]
    for name in SECTIONS:
        rows = common.read(name)
        parts += [f"## {name}", importlib.import_module(f"benchmarks.{name}").__doc__.strip()]
        parts += [spread(rows)] if rows and name == "seeds" else []
        parts += [tabulate(rows, headers="keys", tablefmt="github") if rows else "Not measured yet."]
    with replacing(common.RESULTS / "README.md") as temporary:
        temporary.write_text("\n\n".join(parts) + "\n")
    print(f"{common.RESULTS.name}/README.md, {common.RESULTS.name}/benchmarks.png", flush=True)


def spread(rows: list[dict[str, str]]) -> str:
    """A line for each profile and model: mean and standard deviation of the test accuracies."""
    lines = []
    for profile, model in sorted({(row["profile"], row["model"]) for row in rows}):
        own = [row for row in rows if (row["profile"], row["model"]) == (profile, model)]
        found = [float(row["test_accuracy"]) * 100 for row in own]
        seconds = statistics.mean(float(row["train_seconds"]) for row in own)
        deviation = f" ± {statistics.stdev(found):.2f}" if len(found) > 1 else ""
        mean = f"{statistics.mean(found):.2f}{deviation} %"
        lines.append(f"- {model}, profile {profile}: {mean} of the test images ({len(found)} seeds), {seconds:.0f} s")
    return "\n".join(lines)


def picture() -> None:
    """Curves of accuracy against seconds, and shares of the machine's peak."""
    figure, axes = plt.subplots(1, 3, figsize=(15, 4))
    titles = {"notebook": "pretrained MobileNetV2", "scratch": "custom CNN, from scratch"}
    for axis, (name, title) in zip(axes, titles.items(), strict=False):
        rows = common.read(name)
        for method in sorted({row["method"] for row in rows}, key="ours".__ne__):
            points = [(float(r["seconds"]), float(r["val_accuracy"]) * 100) for r in rows if r["method"] == method]
            axis.plot(*zip(*points, strict=True), marker=".", label=method)
        axis.set(title=title, xlabel="seconds, with all that comes before", ylabel="validation accuracy, %")
        axis.grid(alpha=0.3)
        if rows:
            axis.legend()
        else:
            axis.text(0.5, 0.5, "not measured yet", ha="center", transform=axis.transAxes)
            axis.set(xticks=[], yticks=[])
    rows = common.read("throughput")[::-1]
    axes[2].barh([row["stage"] for row in rows], [float(row["share"]) * 100 for row in rows])
    axes[2].set(title="GFLOP/s over a matrix product's", xlabel="%", xlim=(0, 100))
    figure.tight_layout()
    with replacing(common.RESULTS / "benchmarks.png") as temporary:
        figure.savefig(temporary, dpi=110, metadata={"Software": None})
    plt.close(figure)
