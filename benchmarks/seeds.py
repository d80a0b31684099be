"""The spread over seeds: `python -m benchmarks.seeds custom_cnn 0 1 2`, each scored once on the test images.

The split stays that of params.yaml's seed; initial weights, order and augmentation have the seeds named. Rows are added
to results/seeds.csv under the profile that params.yaml has; those of the same profile, model and seed are replaced. A
pretrained network needs its trunk: `dvc repro trunk@ARCH`.
"""

import sys
import time

from benchmarks import common, page
from pipeline import (
    calibration,
    cifar10,
    device,
    errors,
    finetuning,
    params,
    paths,
    scratch,
    serving,
    training,
    transfer,
)


def main() -> None:
    name, *seeds = sys.argv[1:]
    checked = params.load()
    for seed in map(int, seeds):
        measured = measure(name, checked.model_copy(update={"seed": seed}))
        key = {"profile": checked.profile, "model": name, "seed": str(seed)}
        others = [row for row in common.read("seeds") if not key.items() <= row.items()]
        common.write("seeds", sorted([*others, key | measured], key=lambda r: (r["profile"], r["model"], r["seed"])))
    page.write()


def measure(name: str, checked: params.Params) -> dict[str, float]:
    """Train with the seed of `checked`; return accuracies on validation and test, and training seconds."""
    settings = checked.models[name]
    kind = scratch if not settings.weights else transfer if settings.trunk.cut else finetuning
    used = device.prepare(checked.compute, kind.faster(name, checked), checked.seed)
    began = time.perf_counter()
    task = kind.task(name, checked)
    training.fit(task, settings.training, used, lambda row: None)
    seconds = time.perf_counter() - began
    network = serving.averaged(task.finish(), settings.training.views)
    figures = {}
    for split, folder in (("validation", paths.VALIDATION), ("test", paths.TEST)):
        images, labels = cifar10.load(folder)
        logits = network.predict(images, checked.evaluation.batch_size, verbose=0)
        if split == "validation":
            temperature = calibration.best_temperature(logits, labels)
        figures[f"{split}_accuracy"] = float((logits.argmax(axis=1) == labels).mean())
        figures[f"{split}_nll"] = calibration.nll(calibration.probabilities(logits, temperature), labels)
    return figures | {"train_seconds": seconds, "precision": used.precision}


if __name__ == "__main__":
    errors.run(main)
