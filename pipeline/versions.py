"""What a registered version says of itself: whose model it is, its figures, the commit that registered it."""

from pipeline import lineage, logged, paths
from pipeline.files import checksum

TESTED = ("accuracy", "top3", "nll", "ece", "macro_f1")


def tags(name: str, run_id: str, receipt: dict, figures: dict, metric: str) -> dict[str, str]:
    """Tags of a version of the candidate `name`, whose logged model is that of the run.

    `receipt`: of its training. `figures`: its metrics file. `metric`: the figure on validation that decides.
    """
    return {
        "candidate": name,
        "run_id": run_id,
        **{tag: receipt["tags"][tag] for tag in (logged.FINGERPRINT, logged.VALIDATION)},
        "params.sha256": checksum(paths.PARAMS),
        f"validation_{metric}": f"{figures['validation'][metric]:.6f}",
        **{f"test_{figure}": f"{figures['test'][figure]:.6f}" for figure in TESTED},
        **lineage.git(),
    }
