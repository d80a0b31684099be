"""The tables of a model card, in GitHub's Markdown: every figure in them is one of the facts."""

from pipeline.evaluation import metrics
from pipeline.reporting.facts import Facts
from pipeline.reporting.results import table


def hyperparameters(facts: Facts) -> str:
    """A column a network."""
    made = facts.members.values()
    keys = [key for key in facts.receipt["params"] if key.startswith(("network.", "trunk.", "training."))]
    rows = [(f"`{key}`", *(receipt["params"][key] for receipt in made)) for key in keys]
    rows = [row for row in rows if set(row[1:]) != {"none"}]
    rows.append(("number format", *(receipt["precision"] for receipt in made)))
    return table(("", *facts.members), rows)


def times(facts: Facts) -> str:
    """What training took, a row a network."""
    rows = [
        (name, str(made["epochs"]), f"{made['train_seconds']:,.0f}", f"{made['trunk_seconds']:,.0f}", made["device"])
        for name, made in facts.members.items()
    ]
    return table(("network", "epochs", "training, s", "of which frozen layers, s", "device"), rows)


def scores(facts: Facts) -> str:
    """Figures of merit with the accuracy's interval, a row a set of images."""
    rows = [
        (
            split.replace("_", " "),
            f"{figures['images']:,}",
            _interval(*(figures[key] for key in ("accuracy", "accuracy_low", "accuracy_high"))),
            f"{figures['top3'] * 100:.2f}",
            *(f"{figures[key]:.4f}" for key in ("nll", "ece", "macro_f1")),
        )
        for split in ("test", "test_without_duplicates", "validation")
        for figures in [facts.scores[split]]
    ]
    return table(("images", "number", "accuracy, %", "top-3, %", "NLL", "ECE", "macro-F1"), rows)


def classes(facts: Facts) -> str:
    """Recall with its interval, a row a class that has test images."""
    images = facts.data["classes"]["test"]
    rows = [
        (name, _interval(recall, *metrics.wilson(round(recall * images[name]), images[name])), f"{images[name]:,}")
        for name, recall in facts.scores["test_recall"].items()
        if images[name]
    ]
    return table(("class", "recall, %", "test images"), rows)


def _interval(value: float, low: float, high: float) -> str:
    return f"{value * 100:.2f} ({low * 100:.2f} to {high * 100:.2f})"


def checks(decision: dict) -> str:
    """What the gate looked at; nothing if that was nothing."""
    rows = [
        (
            check["check"],
            f"{check['value']:.4g}",
            "any" if check["limit"] is None else f"{check['limit']:.4g}",
            "yes" if check["passed"] else "no",
        )
        for check in decision["checks"]
    ]
    return table(("check", "value", "limit", "passed"), rows) if rows else ""


def cpu_seconds(facts: Facts) -> dict[str, tuple[float, float, float]]:
    """Of training, of the pass through the frozen layers and of evaluation, by network; the vote has the last alone."""
    made = {name: (receipt["cpu_seconds"], receipt["trunk_cpu_seconds"]) for name, receipt in facts.members.items()}
    return {name: (*made.get(name, (0.0, 0.0)), spent["cpu_seconds"]) for name, spent in facts.spent.items()}


def costs(facts: Facts) -> str:
    rows = [(name, *(f"{value:,.0f}" for value in values)) for name, values in cpu_seconds(facts).items()]
    return table(("CPU seconds of", "training", "frozen layers", "evaluation"), rows)


def exports(facts: Facts) -> str:
    """What was exported of the model, a row a file, shipped or not."""
    rows = [
        (
            f"`{row['file']}`",
            f"{row['format']}, {row['precision']}",
            f"{row['size_mb']:.1f}",
            f"{row['accuracy'] * 100:.2f}",
            _interval(row["accuracy_drop"], row["drop_low"], row["drop_high"]),
            f"{row['agreement'] * 100:.2f}",
            f"{row['latency_ms_1_thread']:.2f}",
            "yes" if row["shipped"] else f"no: {'; '.join(row['reasons'])}",
        )
        for row in facts.exports
    ]
    header = ("file", "format", "MB", "accuracy, %", "drop, points", "agreement, %", "ms an image", "shipped")
    return table(header, rows)


def lineage(facts: Facts) -> str:
    """Run, logged model, commit, stage, hashes of the data, runs of an ensemble's members."""
    tags = facts.receipt["tags"]
    rows = [
        ("MLflow run", facts.receipt["run_id"]),
        ("logged model", facts.receipt["model_uri"]),
        ("fingerprint of the model", facts.receipt["fingerprint"]),
        ("git commit", tags["git.commit"]),
        ("changes not committed", tags["git.changed"]),
        ("DVC stage", tags["dvc.stage"]),
        *((f"MD5 of {key.removeprefix('dep.')}", md5) for key, md5 in tags.items() if key.startswith("dep.data/")),
        *((f"run of {name}", made["run_id"]) for name, made in facts.members.items() if name != facts.name),
    ]
    return table(("what", "which"), [(what, f"`{which}`") for what, which in rows])
