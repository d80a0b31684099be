"""The spread over seeds: `python -m benchmarks.seeds custom_cnn 0 1 2`, each scored once on the test images.

The split stays that of params.yaml's seed; initial weights, order and augmentation have the seeds named. A profile of
conf/profile is laid over params.yaml with `--profile NAME`. Rows are added to results/seeds.csv under the profile's
name; those of the same profile, model and seed are replaced. MLflow keeps the runs in an experiment of their own. A
pretrained network needs its trunk (`dvc repro trunk@ARCH`), whose cached views have params.yaml's seed for all.
"""

import argparse
import time

from benchmarks import common, page
from pipeline import calibration, cifar10, device, errors, methods, params, paths, serving, tracking, training
from pipeline.files import read_json, read_yaml


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.seeds", description="the spread over seeds")
    parser.add_argument("model", help="an architecture of params.yaml")
    parser.add_argument("seeds", type=int, nargs="+", metavar="seed")
    parser.add_argument("--profile", help="file of conf/profile, laid over params.yaml; left out: params.yaml as it is")
    arguments = parser.parse_args()
    name, checked = arguments.model, params.load()
    if name not in checked.models:
        raise errors.UserError(f"no architecture {name} in params.yaml; there are {', '.join(checked.models)}")
    if arguments.profile:
        values = params.laid_over(read_yaml(paths.PARAMS), arguments.profile)
        checked = params.Params.model_validate(values)
    experiment = f"{checked.tracking.experiment}-seeds"
    checked = checked.model_copy(update={"tracking": checked.tracking.model_copy(update={"experiment": experiment})})
    tracking.connect(checked)
    for seed in arguments.seeds:
        measured = measure(name, checked.model_copy(update={"seed": seed}))
        key = {"profile": checked.profile, "model": name, "seed": str(seed)}
        others = [row for row in common.read("seeds") if not key.items() <= row.items()]
        common.write("seeds", sorted([*others, key | measured], key=lambda r: (r["profile"], r["model"], r["seed"])))
    page.write()


def measure(name: str, checked: params.Params) -> dict[str, float]:
    """Train with the seed of `checked`, in an MLflow run; return what a row of seeds.csv has besides its key."""
    settings = checked.models[name]
    method = methods.of(settings)
    used = device.prepare(checked.compute, method.bfloat16_flags(name, checked), checked.seed)
    tags = {"profile": checked.profile, "device": used.name, "precision": used.precision}
    with tracking.start(f"{name} {checked.profile} {checked.seed}", f"train@{name}", tags):
        tracking.log_params(checked, settings)
        began = time.perf_counter()
        with device.spread(used, settings.training.batch_size) as shared:
            task = method.task(name, checked)
            training.fit(task, settings.training, shared, tracking.log_epoch)
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
        figures["train_seconds"] = seconds
        tracking.log_metrics(figures)
    return figures | {"precision": used.precision}


if __name__ == "__main__":
    errors.run(main)
