"""Stage `export`: the best candidate and a small one as LiteRT and ONNX; what the parity gate passes is shipped."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.core import candidates, environment, errors, paths
from pipeline.core.files import copy, fresh_folder, write_json
from pipeline.core.schema import Export
from pipeline.data import splits
from pipeline.export import convert, parity

NEEDED = 500_000_000  # bytes


def main() -> None:
    os.environ["KERAS_BACKEND"] = "tensorflow"  # whose converters these are; a model that JAX trained is the same file
    params = environment.check(store=False)
    errors.require_space(paths.EXPORTS, NEEDED)
    metrics = candidates.scored()
    best = candidates.best(metrics, params.registry.metric)
    small = smallest(metrics, best, params.export.margin)
    roles = {best: "best"} | {small: "best and edge" if small == best else "edge"}
    fresh_folder(paths.EXPORTS)
    rows = []
    for name, role in roles.items():
        fingerprint = candidates.facts(name)["fingerprint"]
        for variant, judged, file in variants(name, params.export):
            row = {"role": role, "candidate": name, "format": variant.format, "precision": variant.precision}
            shipped = paths.EXPORTS / name / file.name if judged["shipped"] else None
            if shipped:
                copy(file, shipped)
            row |= {"file": shipped and str(shipped), "fingerprint": fingerprint} | judged
            rows.append(row)
            print(f"{name}, {variant.format} {variant.precision}: {described(row)}")
    write_json(paths.EXPORTED, rows)


def smallest(metrics: candidates.Metrics, best: str, margin: float) -> str:
    """Return the candidate with the smallest model file, of those whose validation accuracy is at most `margin` below
    the best one's.
    """
    accuracies = {name: figures["validation"]["accuracy"] for name, figures in metrics.items()}
    near = [name for name in metrics if round(accuracies[best] - accuracies[name], 9) <= margin]
    return min(near, key=lambda name: metrics[name]["cost"]["size_mb"])


def variants(name: str, export: Export) -> Iterator[tuple[convert.Variant, dict[str, Any], Path]]:
    """Convert a candidate's model into each variant; yield the variant, what `parity.judge` says, and the file.

    The file is deleted afterwards. The validation images after those that calibrate are what it is judged by.
    """
    from pipeline.formats import keras_model  # Keras, whose backend is chosen by now

    folder = paths.candidate(name)
    model = keras_model.load(folder / "model.keras")
    images, labels = splits.load(paths.VALIDATION)
    expected, first = np.load(folder / "validation.npy"), export.calibration_images
    for variant in convert.VARIANTS:
        with tempfile.TemporaryDirectory() as temporary:
            file = Path(temporary, variant.file)
            try:
                convert.convert(model, variant, file, images[:first])
                judged = parity.judge(file, images[first:], expected[first:], labels[first:], export)
            except convert.Unconverted as error:
                judged = parity.unmeasured(f"the converter refuses it: {error}")
            yield variant, judged, file


def described(row: dict[str, Any]) -> str:
    """Return a row's figures and the verdict."""
    verdict = "shipped" if row["shipped"] else f"not shipped: {'; '.join(row['reasons'])}"
    if row["agreement"] is None:
        return verdict
    return (
        f"{row['size_mb']:.2f} MB, agreement {row['agreement']:.2%}, accuracy drop {row['accuracy_drop']:.2%} "
        f"({row['drop_low']:.2%} to {row['drop_high']:.2%}), {row['latency_ms_1_thread']:.1f} ms an image with a "
        f"thread, {row['latency_ms_2_threads']:.1f} with two; {verdict}"
    )
