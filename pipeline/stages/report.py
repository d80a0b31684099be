"""Stage `report`: curves of all architectures, test accuracies with intervals, the results table.

The tables beside the pictures are what `dvc plots` draws, by the templates in .dvc/plots.
"""

import pandas as pd

from pipeline.core import candidates, environment, errors, paths
from pipeline.core.files import replacing
from pipeline.reporting import figures as plots
from pipeline.reporting import results


def main() -> None:
    environment.check()
    metrics = candidates.metrics()
    scored = {name: figures for name, figures in metrics.items() if "skipped" not in figures}
    histories = {name: pd.read_csv(paths.HISTORY / f"{name}.csv") for name in scored if name != "ensemble"}
    plots.curves(paths.REPORTS / "curves.png", histories)
    plots.accuracies(paths.REPORTS / "accuracy.png", {name: figures["test"] for name, figures in scored.items()})
    with replacing(paths.CURVES) as temporary:
        curves(histories).to_csv(temporary, index=False)
    with replacing(paths.COMPARISON) as temporary:
        pd.DataFrame(results.comparison(metrics)).to_csv(temporary, index=False)
    with replacing(paths.REPORTS / "results.md") as temporary:
        temporary.write_text(results.markdown(metrics))
    print(f"{paths.REPORTS}: results.md, curves.png, accuracy.png")


def curves(histories: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """All histories in one: architecture, epoch, images (validation or training), accuracy, loss."""
    parts = [
        pd.DataFrame(
            {
                "architecture": name,
                "epoch": history["epoch"],
                "images": images,
                "accuracy": history[f"{prefix}accuracy"],
                "loss": history[f"{prefix}loss"],
            }
        )
        for name, history in histories.items()
        for images, prefix in (("validation", "val_"), ("training", ""))
    ]
    return pd.concat(parts)


if __name__ == "__main__":
    errors.run(main)
