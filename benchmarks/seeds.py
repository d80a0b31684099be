"""The spread over seeds: `python -m benchmarks.seeds custom_cnn 0 1 2`, each scored once on the test images.

The split stays that of params.yaml's seed; initial weights, order and augmentation have the seeds named. A profile of
conf/profile is laid over params.yaml with `--profile NAME`. Rows are added to results/seeds.csv under the profile's
name; those of the same profile, model and seed are replaced. MLflow keeps the runs in an experiment of their own. A
pretrained network needs its trunk (`dvc repro trunk@ARCH`), whose cached views have params.yaml's seed for all.
"""

import argparse

import mlflow
from dvc.utils.flatten import flatten

from benchmarks import common, page
from pipeline.core import errors, params, paths
from pipeline.core.files import read_json, read_yaml
from pipeline.data import splits
from pipeline.evaluation import metrics
from pipeline.tracking import provenance, store, stream
from pipeline.training import methods
from tools import profiles


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
        values = profiles.laid_over(read_yaml(paths.PARAMS), arguments.profile)
        composed = params.checked(values, profiles.FOLDER / f"{arguments.profile}.yaml")
        if composed.data != checked.data or composed.models[name].network != checked.models[name].network:
            raise errors.UserError(
                f"profile {arguments.profile} has images or a trunk of its own: "
                f"`dvc exp run -S profile={arguments.profile}` makes them, then leave --profile out"
            )
        checked = composed
    common.require(paths.TRAIN, paths.VALIDATION, paths.TEST, paths.TRUNKS / name)
    experiment = f"{checked.tracking.experiment}-seeds"
    checked = checked.model_copy(update={"tracking": checked.tracking.model_copy(update={"experiment": experiment})})
    store.connect(checked)
    for seed in arguments.seeds:
        measured = measure(name, checked.model_copy(update={"seed": seed}))
        key = {"profile": checked.profile, "model": name, "seed": str(seed)}
        others = [row for row in common.read("seeds") if not key.items() <= row.items()]
        common.write("seeds", sorted([*others, key | measured], key=lambda r: (r["profile"], r["model"], r["seed"])))
    page.write()


def measure(name: str, checked: params.Params) -> dict[str, float]:
    """Train with the seed of `checked`, in an MLflow run; return what a row of seeds.csv has besides its key."""
    used = methods.prepare(name, checked)
    tags = {"profile": checked.profile, "device": used.name, "precision": used.precision}
    with mlflow.start_run(run_name=f"{name} {checked.profile} {checked.seed}", tags=provenance.git() | tags) as run:
        mlflow.log_params(flatten({"seed": checked.seed} | checked.models[name].model_dump(exclude={"weights"})))
        trained = methods.train(name, checked, used, lambda row: stream.log_epochs(run.info.run_id, [row]))
        figures = {}
        images, _ = splits.load(paths.TEST)
        test = trained.model.predict(images, checked.evaluation.batch_size, verbose=0)
        for folder, probabilities in ((paths.VALIDATION, trained.validation), (paths.TEST, test)):
            scores = metrics.score(probabilities, splits.load(folder)[1], checked.evaluation.ece_bins)
            figures |= {f"{folder.name}_{figure}": scores[figure] for figure in ("accuracy", "nll")}
        trunk_seconds = read_json(paths.RECORDS / "trunk" / f"{name}.json").get("seconds", 0.0)
        figures["train_seconds"] = trained.seconds + trunk_seconds
        mlflow.log_metrics(figures)
    return figures | {"precision": used.precision}


if __name__ == "__main__":
    errors.run(main)
