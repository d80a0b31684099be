"""The table of what came out, written from files only: metrics, and the ensemble's list of architectures."""

from pipeline.core import paths
from pipeline.core.files import read_json

# The student notebook that this project grew from: test accuracy, chosen on the test set, on a Colab T4.
NOTEBOOK = {
    "custom_cnn": 0.7247,
    "mobilenetv2": 0.8617,
    "efficientnetb0": 0.8614,
    "resnet50v2": 0.7930,
    "ensemble": 0.8934,
}
HEADER = (
    "model",
    "test accuracy, % (95 % interval)",
    "notebook",
    "without near-duplicates, %",
    "validation, %",
    "top-3, %",
    "NLL",
    "ECE",
    "macro-F1",
    "parameters",
    "MB",
    "s per 1,000 images",
    "training, s (of CPU time)",
)


def load() -> dict[str, dict]:
    """Metrics of each architecture that the ensemble chose from, and of the ensemble, which comes last.

    A skipped one has the single key `skipped`, the reason.
    """
    names = [*read_json(paths.ENSEMBLE / "run.json")["architectures"], "ensemble"]
    return {name: read_json(paths.METRICS / f"{name}.json") for name in names}


def rows(metrics: dict[str, dict]) -> list[tuple[str, ...]]:
    """Cells of HEADER for each candidate. A skipped one has the reason and no figures."""
    return [
        _skipped(name, figures) if "skipped" in figures else _row(name, figures) for name, figures in metrics.items()
    ]


def _row(name: str, figures: dict) -> tuple[str, ...]:
    test, cost = figures["test"], figures["cost"]
    return (
        name,
        f"{test['accuracy']:.2%} ({test['accuracy_low']:.2%} to {test['accuracy_high']:.2%})".replace("%", ""),
        _notebook(name),
        f"{figures['test_without_duplicates']['accuracy'] * 100:.2f}",
        f"{figures['validation']['accuracy'] * 100:.2f}",
        f"{test['top3'] * 100:.2f}",
        f"{test['nll']:.3f}",
        f"{test['ece']:.4f}",
        f"{test['macro_f1']:.4f}",
        f"{cost['parameters']:,}",
        f"{cost['size_mb']:.1f}",
        f"{cost['seconds_per_1000_images']:.1f}",
        f"{cost['train_seconds']:.0f} ({cost['train_cpu_seconds']:.0f})",
    )


def _skipped(name: str, figures: dict) -> tuple[str, ...]:
    return (name, f"skipped: {figures['skipped']}", _notebook(name), *[""] * (len(HEADER) - 3))


def _notebook(name: str) -> str:
    return f"{NOTEBOOK[name] * 100:.2f}" if name in NOTEBOOK else ""


def comparison(metrics: dict[str, dict]) -> list[dict]:
    """Test accuracy with its interval, and costs, of each candidate that has figures."""
    return [
        {"candidate": name}
        | {key: figures["test"][key] for key in ("accuracy", "accuracy_low", "accuracy_high")}
        | {key: figures["cost"][key] for key in ("seconds_per_1000_images", "size_mb", "train_seconds")}
        for name, figures in metrics.items()
        if "skipped" not in figures
    ]


def markdown(metrics: dict[str, dict]) -> str:
    """The table of results."""
    return table(HEADER, rows(metrics))


def table(header: tuple[str, ...], lines: list[tuple[str, ...]]) -> str:
    """A table in GitHub's Markdown, with a line's end at its end."""
    return "".join(f"| {' | '.join(line)} |\n" for line in (header, ("---",) * len(header), *lines))
