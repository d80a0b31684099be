"""What MLflow shows of a candidate, an architecture or the ensemble: all of it comes from files."""

import csv
import datetime
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dvc.utils.flatten import flatten
from mlflow.data.http_dataset_source import HTTPDatasetSource
from mlflow.data.numpy_dataset import NumpyDataset, from_numpy

from pipeline.core import candidates, paths
from pipeline.core.errors import UserError
from pipeline.core.files import checksum, list_files, read_json
from pipeline.data import splits
from pipeline.formats import keras_archive
from pipeline.tracking import provenance, runs

VALIDATION = "validation.sha256"  # tag: of the probabilities of the validation images, which the gate compares
SOURCE = HTTPDatasetSource("https://www.cs.toronto.edu/~kriz/cifar.html")  # wherever it came from, it is that one
RECORDED = ("git.commit", "git.changed", "profile", "device", "precision")  # tags that come from the record
SPLITS = ("validation", "test", "test_without_duplicates", "test_recall")  # sections of a metrics file, all figures
ROLES = {paths.TRAIN: "training", paths.VALIDATION: "validation", paths.TEST: "test"}


@dataclass(frozen=True)
class View:
    """A candidate's run, as it is to be."""

    name: str
    stage: str
    fingerprint: str  # of its model
    inputs: str  # SHA-256 of what the stage was made of
    started: int  # milliseconds since 1970
    tags: dict[str, str]
    params: dict[str, str]
    metrics: dict[str, float]
    epochs: list[dict[str, float]]  # rows of the history
    artifacts: dict[str, bytes]  # by name
    model: Path  # the Keras file

    def datasets(self) -> Iterator[tuple[NumpyDataset, str]]:
        """Yield each data set that the model was made or scored with, and for what. The test labels are left out."""
        for folder, role in ROLES.items():
            if self.name == "ensemble" and folder == paths.TRAIN:
                continue
            labels = None if folder == paths.TEST else splits.labels(folder)
            yield from_numpy(splits.images(folder), SOURCE, targets=labels, name=f"cifar10-{folder.name}"), role


def of(name: str) -> View:
    """Return what the files say of a candidate that was not skipped.

    Raises UserError if the model is not the one that its stage described, or dvc.lock does not know the stage.
    """
    folder, stage, facts = paths.candidate(name), paths.stage(name), candidates.facts(name)
    if keras_archive.fingerprint(folder / "model.keras") != facts["fingerprint"]:
        raise UserError(f"{folder}/model.keras is not the model of its model.json: `dvc checkout` brings it back")
    made_of = provenance.recorded(stage)
    if made_of is None:
        raise UserError(f"dvc.lock has no stage {stage}: `dvc repro {stage}` records it")
    trained = {} if name == "ensemble" else read_json(paths.RECORDS / "train" / f"{name}.json")
    evaluated = read_json(paths.RECORDS / "evaluate" / f"{name}.json")
    record = trained or evaluated
    return View(
        name=name,
        stage=stage,
        fingerprint=facts["fingerprint"],
        inputs=provenance.digest(made_of),
        started=int(datetime.datetime.fromisoformat(record["started"]).timestamp() * 1000),
        tags={runs.STAGE: stage, VALIDATION: checksum(folder / "validation.npy")}
        | {key: str(record[key]) for key in RECORDED if key in record},
        params=params(name, made_of, facts),
        metrics=_metrics(read_json(paths.METRICS / f"{name}.json"), evaluated | trained),
        epochs=[] if name == "ensemble" else epochs(paths.HISTORY / f"{name}.csv"),
        artifacts=_artifacts(name, made_of),
        model=folder / "model.keras",
    )


def params(name: str, made_of: provenance.Inputs, facts: dict[str, Any]) -> dict[str, str]:
    """Return the params of a run: those of its stage and of the split, flattened, without `models.NAME.`."""
    split = provenance.recorded("prepare") or {"params": {}}
    values = flatten(split["params"] | made_of["params"])
    if name == "ensemble":
        values |= {f"ensemble.weight.{member}": weight for member, weight in facts["weights"].items()}
    return {key.removeprefix(f"models.{name}."): str(value) for key, value in values.items()}


def epochs(history: Path) -> list[dict[str, float]]:
    """Return the rows of a history, columns as in the file. Raises UserError if it is damaged."""
    try:
        with history.open(newline="") as file:
            return [{key: float(value) for key, value in row.items()} for row in csv.DictReader(file)]
    except (TypeError, ValueError) as error:
        raise UserError(f"{history} is damaged ({error}): `git checkout {history}` brings it back") from None


def _metrics(scores: dict[str, Any], record: dict[str, Any]) -> dict[str, float]:
    found = {f"{split}_{key}": value for split in SPLITS for key, value in scores[split].items()}
    if "against_best_member" in scores:
        found["test_p_against_best_member"] = scores["against_best_member"]["p"]
    return found | scores["cost"] | {key: value for key, value in record.items() if isinstance(value, int | float)}


def _artifacts(name: str, made_of: provenance.Inputs) -> dict[str, bytes]:
    files = [paths.candidate(name) / "validation.npy", paths.METRICS / f"{name}.json"]
    if name == "ensemble":
        files += [paths.VOTE]
    else:
        files += [paths.HISTORY / f"{name}.csv", paths.WEIGHTS / name / "manifest.json"]
    for folder in (paths.REPORTS / name, paths.EVALUATION / name):
        files += [path for path in list_files(folder) if path.is_file()]
    contents = {file.name: file.read_bytes() for file in files}
    return contents | {"inputs.json": json.dumps(made_of, indent=2, sort_keys=True).encode()}
