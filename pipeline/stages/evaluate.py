"""Stage `evaluate@ARCH`: figures of one model on the validation images and, once, on the test images."""

import numpy as np

from pipeline.core import environment, errors, paths
from pipeline.core.files import fresh_folder, read_json, write_array, write_json
from pipeline.core.progress import verbosity
from pipeline.core.schema import Params
from pipeline.data import splits

NEEDED = 10_000_000  # bytes


def main() -> None:
    name, params = environment.check_model(store=False)
    errors.require_space(paths.PREDICTIONS, NEEDED)
    predictions = fresh_folder(paths.PREDICTIONS / name)
    facts = read_json(paths.MODELS / name / "model.json")
    if facts["status"] == "skipped":
        write_json(paths.METRICS / f"{name}.json", {"skipped": facts["reason"]})
        write_json(paths.RECORDS / "evaluate" / f"{name}.json", {"skipped": facts["reason"]})
        for folder in (predictions, fresh_folder(paths.REPORTS / name)):  # git keeps no empty folder
            (folder / "skipped.txt").write_text(f"{facts['reason']}\n")
        print(f"{name}: skipped: {facts['reason']}")
        return
    evaluate(name, params, facts)


def evaluate(name: str, params: Params, facts: dict[str, int]) -> None:
    """Predict the test images, and write probabilities, metrics, tables and record of an architecture."""
    from pipeline.evaluation import record
    from pipeline.formats import keras_model

    images, path = splits.images(paths.TEST), paths.MODELS / name / "model.keras"
    model, batch_size = keras_model.load(path), params.evaluation.batch_size
    probabilities = model.predict(images, batch_size, verbosity())
    write_array(paths.PREDICTIONS / name / "test.npy", probabilities)
    scores = record.write(
        name,
        np.load(paths.MODELS / name / "validation.npy"),
        probabilities,
        splits.labels(paths.TEST),
        params.evaluation.ece_bins,
        {"parameters": facts["parameters"], "size_mb": path.stat().st_size / 1e6},
    )
    record.write_cost(name, record.seconds_per_1000(model, images, batch_size))
    print(f"{name}: test accuracy {scores['test']['accuracy']:.4f}")
