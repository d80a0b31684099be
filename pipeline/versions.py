"""What a registered version says of itself: whose model it is, its figures, the commit that registered it."""

from pipeline import lineage, logged, paths
from pipeline.files import checksum

OWN = ("candidate", "run_id", logged.FINGERPRINT, logged.VALIDATION)  # tags: whose model it is
DECIDED = ("params.sha256", "validation_", "test_", "git.", "gate.", "description.")  # begin of tags: what it had then
TESTED = ("accuracy", "top3", "nll", "ece", "macro_f1")


def own(tags: dict[str, str]) -> dict[str, str]:
    """Those of a version's tags that this workflow has given it when it was decided on."""
    return {key: value for key, value in tags.items() if key in OWN or key.startswith(DECIDED)}


def said(value: float) -> str:
    """A figure, as a version's tags have it."""
    return f"{value:.6f}"


def tags(name: str, run_id: str, receipt: dict, figures: dict, metric: str) -> dict[str, str]:
    """Tags of a version of the candidate `name`, whose logged model is that of the run.

    `receipt`: of its training. `figures`: its metrics file. `metric`: the figure on validation that decides.
    """
    return {
        "candidate": name,
        "run_id": run_id,
        **{tag: receipt["tags"][tag] for tag in (logged.FINGERPRINT, logged.VALIDATION)},
        "params.sha256": checksum(paths.PARAMS),
        f"validation_{metric}": said(figures["validation"][metric]),
        **{f"test_{figure}": said(figures["test"][figure]) for figure in TESTED},
        **lineage.git(),
    }
