"""Stage `report`: the results table, the tables that `dvc plots` draws, and the pictures of data and results."""

import numpy as np
import pandas as pd

from pipeline.core import candidates, environment, paths
from pipeline.core.files import read_json, replacing
from pipeline.data import splits
from pipeline.reporting import charts, montage, render, results, tables

SHOWN = 40  # near-duplicates in the picture


def main() -> None:
    environment.check(store=False)
    names = candidates.trained()
    confusion = pd.concat([tables.read(name, "counts").assign(candidate=name) for name in names])
    plots = {paths.CURVES: tables.curves(), paths.COMPARISON: tables.comparison(), paths.CONFUSION: confusion}
    for path, table in plots.items():
        with replacing(path) as temporary:
            table.to_csv(temporary, index=False)
    for name, chart in charts.CHARTS.items():
        render.write(chart.draw(), paths.PICTURES / f"{name}.png")
    classes = list(read_json(paths.REPORTS / "data.json")["classes"]["train"])
    montage.samples(paths.PICTURES / "samples.png", *splits.load(paths.TRAIN), classes)
    draw_duplicates()
    with replacing(paths.REPORTS / "results.md") as temporary:
        temporary.write_text(results.markdown(candidates.metrics()))
    print(f"{paths.REPORTS / 'results.md'}, {paths.PICTURES}, {', '.join(map(str, plots))}")


def draw_duplicates() -> None:
    """Draw test images with near-duplicates above the images that they are near to."""
    known = [splits.images(folder) for folder in (paths.TRAIN, paths.VALIDATION)]
    found = pd.read_csv(paths.DUPLICATES)
    found["other"] += np.where(found["split"] == "train", 0, len(known[0]))
    best = found.drop_duplicates("image")
    chosen = best.iloc[:: max(len(best) // SHOWN, 1)][:SHOWN]
    montage.pairs(paths.PICTURES / "duplicates.png", splits.images(paths.TEST), np.concatenate(known), chosen)
