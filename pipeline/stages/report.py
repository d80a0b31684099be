"""Stage `report`: curves of all architectures, test accuracies with intervals, the results table."""

import pandas as pd

from pipeline import errors, paths, plots, preflight, results
from pipeline.files import replacing


def main() -> None:
    preflight.check()
    metrics = results.load()
    scored = {name: figures for name, figures in metrics.items() if "skipped" not in figures}
    histories = {name: pd.read_csv(paths.HISTORY / f"{name}.csv") for name in scored if name != "ensemble"}
    plots.curves(paths.REPORTS / "curves.png", histories)
    plots.accuracies(paths.REPORTS / "accuracy.png", {name: figures["test"] for name, figures in scored.items()})
    with replacing(paths.REPORTS / "results.md") as temporary:
        temporary.write_text(results.markdown(metrics))
    print(f"{paths.REPORTS}: results.md, curves.png, accuracy.png")


if __name__ == "__main__":
    errors.run(main)
