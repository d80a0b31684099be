"""The spread over seeds: `python -m benchmarks.seeds custom_cnn 0 1 2`, each scored once on the test images.

The split stays that of params.yaml's seed; initial weights, order and augmentation have the seeds named. Rows are added
to results/seeds.csv under the profile that params.yaml has; those of the same profile, model and seed are replaced. A
pretrained network needs its trunk (`dvc repro trunk@ARCH`), whose cached views have params.yaml's seed for all.
"""

import sys
import time

from benchmarks import common, page
from pipeline import calibration, cifar10, device, errors, methods, params, paths, serving, training
from pipeline.files import read_json


def main() -> None:
    name, *seeds = sys.argv[1:] or [""]
    checked = params.load()
    if name not in checked.models or not seeds or not all(seed.isdigit() for seed in seeds):
        raise errors.UserError(
            "name an architecture of params.yaml and seeds: python -m benchmarks.seeds custom_cnn 0 1 2"
        )
    for seed in map(int, seeds):
        measured = measure(name, checked.model_copy(update={"seed": seed}))
        key = {"profile": checked.profile, "model": name, "seed": str(seed)}
        others = [row for row in common.read("seeds") if not key.items() <= row.items()]
        common.write("seeds", sorted([*others, key | measured], key=lambda r: (r["profile"], r["model"], r["seed"])))
    page.write()


def measure(name: str, checked: params.Params) -> dict[str, float]:
    """Train with the seed of `checked`; return accuracies on validation and test, and training seconds."""
    settings = checked.models[name]
    method = methods.of(settings)
    used = device.prepare(checked.compute, method.bfloat16_flags(name, checked), checked.seed)
    began = time.perf_counter()
    with device.spread(used, settings.training.batch_size) as shared:
        task = method.task(name, checked)
        training.fit(task, settings.training, shared, lambda row: None)
    trunk = paths.TRUNKS / name / "trunk.json"
    before = read_json(trunk).get("seconds", 0.0) if trunk.is_file() else 0.0
    seconds = before + time.perf_counter() - began
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
