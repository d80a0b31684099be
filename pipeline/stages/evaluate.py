"""Stage `evaluate@ARCH`: figures of one model on the validation images and, once, on the test images."""

import numpy as np

from pipeline.core import environment, errors, paths
from pipeline.core.files import fresh_folder, read_json, write_array, write_json
from pipeline.core.progress import verbosity
from pipeline.core.schema import Params
from pipeline.data import splits
from pipeline.formats import keras_file

NEEDED = 10_000_000  # bytes


def main() -> None:
    name, params = environment.check_model()
    errors.require_space(paths.PREDICTIONS, NEEDED)
    predictions = fresh_folder(paths.PREDICTIONS / name)
    receipt = read_json(paths.MODELS / name / "run.json")
    if receipt["status"] == "skipped":
        write_json(paths.METRICS / f"{name}.json", {"skipped": receipt["reason"]})
        table = fresh_folder(paths.EVALUATION / name) / "counts.csv"  # git keeps no empty folder, which DVC would miss
        table.write_text("actual,predicted,count\n")
        for folder in (predictions, fresh_folder(paths.REPORTS / name)):
            (folder / "skipped.txt").write_text(f"{receipt['reason']}\n")
        print(f"{name}: skipped: {receipt['reason']}")
        return
    evaluate(name, params, receipt)


def evaluate(name: str, params: Params, receipt: dict) -> None:
    import pandas as pd

    from pipeline.evaluation import record
    from pipeline.reporting import figures
    from pipeline.tracking import runs, store

    store.connect(params)
    with runs.resume(receipt["run_id"], f"evaluate@{name}") as run:
        images = splits.images(paths.TEST)
        path = paths.MODELS / name / "model.keras"
        model = keras_file.load(path)
        batch_size = params.evaluation.batch_size
        probabilities = model.predict(images, batch_size, verbosity())
        write_array(paths.PREDICTIONS / name / "test.npy", probabilities)

        validation = np.load(paths.MODELS / name / "validation.npy")
        cost = {
            "parameters": receipt["parameters"],
            "size_mb": path.stat().st_size / 1e6,
            "seconds_per_1000_images": record.seconds_per_1000(model, images, batch_size),
            **record.training(receipt),
        }
        labels = splits.labels(paths.TEST)
        store.log_dataset(paths.TEST, images, labels, "test")
        scores = record.record(name, validation, probabilities, images, labels, params.evaluation.ece_bins, cost)
        figures.curves(paths.EVALUATION / name / "curves.png", {name: pd.read_csv(paths.HISTORY / f"{name}.csv")})
        record.log(name, scores)
        write_json(paths.PREDICTIONS / name / "run.json", runs.receipt(run))
    print(f"{name}: test accuracy {scores['test']['accuracy']:.4f}")


if __name__ == "__main__":
    errors.run(main)
