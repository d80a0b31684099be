"""Each file and folder of the graph, named once, relative to the repository's root (where every stage runs)."""

import os
from pathlib import Path

PARAMS = Path("params.yaml")

RAW = Path("data/raw")  # the six official binary batches
DOWNLOADS = Path("data/downloads")  # half-finished ones, so that they can go on, and weights until they are installed
TRAIN = Path("data/train")  # images.npy uint8 (N, 32, 32, 3) and labels.npy uint8 (N,)
VALIDATION = Path("data/validation")  # the same; chooses everything that is chosen
TEST = Path("data/test")  # the same; chooses nothing
FOUND = Path("data/found")  # ARCH.json: the manifest of the weights that can be had
ARCHITECTURES = FOUND / "architectures.json"  # their names, in the order of params.yaml
WEIGHTS = Path("data/weights")  # a folder an architecture: manifest.json, the file
TRUNKS = Path("data/trunk")  # a folder an architecture: trunk.json, train.npy, validation.npy

MODELS = Path("models")  # a folder an architecture: model.json, model.keras, validation.npy
PREDICTIONS = Path("predictions")  # a folder an architecture: test.npy
ENSEMBLE = Path("ensemble")  # vote.json, model.json, model.keras, validation.npy, test.npy
VOTE = ENSEMBLE / "vote.json"  # what was chosen on validation


def candidate(name: str) -> Path:
    """Return where the model of an architecture, or of `ensemble`, lies."""
    return ENSEMBLE if name == "ensemble" else MODELS / name


def stage(name: str) -> str:
    """Return the stage of dvc.yaml that makes that model."""
    return name if name == "ensemble" else f"train@{name}"


METRICS = Path("metrics")  # NAME.json
RECORDS = Path("records")  # STAGE/NAME.json: seconds, memory, device, versions, which are other ones each time
RUNS = Path("runs")  # NAME.json: which model MLflow has a run of
HISTORY = Path("plots/history")  # ARCH.csv
CURVES, COMPARISON = Path("plots/curves.csv"), Path("plots/comparison.csv")  # of all candidates, for `dvc plots`
CONFUSION = Path("plots/confusion.csv")  # the same
PICTURES = Path("plots/pictures")  # of the data and of all candidates
EVALUATION = Path("plots/evaluation")  # a folder a candidate: its pictures
DUPLICATES = Path("reports/duplicates.csv")  # pairs; their counts in duplicates.json
REPORTS = Path("reports")  # data.json, duplicates, results.md, pictures; a folder a candidate: its tables
REGISTRY = Path("registry.json")
EXPORTS = Path("exports")  # a folder a model that was exported: what is shipped of it
EXPORTED = REPORTS / "exports.json"  # what was measured of each, shipped or not
EXPORT_CARDS = REPORTS / "exports"  # NAME.md: model card of a candidate that was exported
EDGE = REPORTS / "edge.json"  # the version that has the alias of that name, or why none got it
MODEL_CARD = REPORTS / "model_card.md"  # of the version in registry.json
PAGE = REPORTS / "report.html"
# The top of everything that the graph makes.
MADE = {
    path.parts[0]
    for path in (RAW, MODELS, PREDICTIONS, ENSEMBLE, METRICS, RECORDS, RUNS, HISTORY, REPORTS, REGISTRY, EXPORTS)
}

CHECKPOINTS = Path("checkpoints")  # a folder a stage: what it goes on from after it was killed
LOCK_KEPT = CHECKPOINTS / "dvc.lock"  # as it was when the last stage began

STORE = Path("mlruns")  # MLflow's, unless a server is named: mlflow.db and artifacts


def shared(place: Path | str) -> Path:
    """Return a place outside of git and DVC as the user means it, absolute: ~ is the home folder.

    A relative one lies in the repository. So it does for what runs in a folder below .dvc/tmp/exps, which `dvc exp run
    --queue` or `--temp` makes, and deletes with all that is in it.
    """
    meant = os.path.expanduser(place)  # noqa: PTH111  Path's fails where a user has no home
    for parent in Path.cwd().parents:
        if parent.parts[-3:] == (".dvc", "tmp", "exps"):
            return parent.parents[2] / meant
    return Path.cwd() / meant
