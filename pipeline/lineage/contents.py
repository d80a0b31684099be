"""What the store has of an MLflow run, verified: model, probabilities, figures, epochs and images are the files'."""

import csv
import tempfile
from collections.abc import Iterator
from pathlib import Path

from pipeline.core import paths
from pipeline.core.errors import UserError
from pipeline.core.files import checksum, folder_checksum
from pipeline.data import splits
from pipeline.formats import keras_file
from pipeline.lineage import mlmodel
from pipeline.lineage.lock import Broken, Locked
from pipeline.tracking import logged_models, store

# What each data set is for, as MLflow has it.
ROLES = {f"cifar10-{paths.TRAIN.name}": "training", f"cifar10-{paths.VALIDATION.name}": "validation"}
ROLES |= {f"cifar10-{paths.TEST.name}": "test"}
LOADED = "registered_model_meta"  # in a store of files, MLflow writes it beside a model that is loaded by its version


def logged_model(run, link: str) -> str:
    """Its address. Raises Broken if the run has none, or none that is whole."""
    try:
        return logged_models.model_uri(run)
    except UserError:
        raise Broken(f"{link}, logged model", "the store has none of this run that is whole") from None


def model(name: str, run, locked: Locked, link: str) -> Iterator[str]:
    """The logged model is the one of the run's tags, with all that tells MLflow how to load it, and of the file."""
    address, tags = logged_model(run, link), run.data.tags
    with tempfile.TemporaryDirectory() as temporary:
        folder = logged_models.fetch(address, Path(temporary))
        if not (folder / logged_models.KERAS).is_file():
            raise Broken(f"{link}, logged model", f"{address} has no {logged_models.KERAS}")
        (folder / LOADED).unlink(missing_ok=True)
        if wrong := mlmodel.fault(folder):
            raise Broken(f"{link}, logged model", f"{address}: {wrong}")
        fingerprint, whole = keras_file.fingerprint(folder / logged_models.KERAS), folder_checksum(folder)
    if fingerprint != tags.get(logged_models.FINGERPRINT):
        raise Broken(f"{link}, logged model", f"the fingerprint of {address} is not that of the run's tag")
    if whole != tags.get(logged_models.FILES):
        raise Broken(f"{link}, logged model", f"the files of {address} are not those that were logged")
    yield f"logged model {address}, fingerprint {fingerprint}"
    path = paths.candidate(name) / "model.keras"
    file = locked.file(path)
    if file and keras_file.fingerprint(file) != fingerprint:
        raise Broken(str(path), f"its fingerprint is not that of {link}")
    yield f"model {path}{'' if file else ', not here'}"


def probabilities(name: str, run, locked: Locked, link: str) -> Iterator[str]:
    """Those of the validation images, by which the gate decides, are in the store as they are in the file."""
    path = paths.candidate(name) / "validation.npy"
    with tempfile.TemporaryDirectory() as folder:
        found = store.artifact(run.info.run_id, path.name, Path(folder))
        digest = found and checksum(found)
    if digest is None or digest != run.data.tags.get(logged_models.VALIDATION):
        raise Broken(f"{link}, artifact {path.name}", "it is not that of the run's tag")
    file = locked.file(path)
    if file and checksum(file) != digest:
        raise Broken(str(path), f"it is not that of {link}")
    yield f"validation probabilities, SHA-256 {digest}"


def figures(name: str, run, locked: Locked, link: str) -> Iterator[str]:
    """The figures of the metrics file are those of the store."""
    path = paths.METRICS / f"{name}.json"
    for split, scores in locked.json(path).items():
        for key, value in scores.items():
            stored = run.data.metrics.get(f"{split}_{key}", value)
            if stored != value:
                raise Broken(f"{link}, metric {split}_{key}", f"{stored} in the store, {value} in {path}")
    yield f"test accuracy {run.data.metrics.get('test_accuracy', 'none')}"


def epochs(name: str, run, locked: Locked, link: str) -> Iterator[str]:
    """Each epoch's figures in the store are those of the history. The ensemble has none."""
    path = paths.HISTORY / f"{name}.csv"
    rows = list(csv.DictReader(locked.read(path).decode(errors="replace").splitlines()))
    if not rows:
        return
    for metric, column in store.EPOCH.items():
        try:
            told = {int(row["epoch"]): float(row[column]) for row in rows}
        except (KeyError, TypeError, ValueError) as error:
            raise Broken(str(path), f"it is damaged: {error}") from None
        points = store.points(run.info.run_id, metric)
        stored = dict(points)
        if len(points) != len(stored):
            raise Broken(f"{link}, metric {metric}", "the store has two values of an epoch")
        for epoch in sorted(told.keys() | stored.keys()):
            if told.get(epoch) != stored.get(epoch):
                values = f"{stored.get(epoch)} in the store, {told.get(epoch)} in {path}"
                raise Broken(f"{link}, metric {metric} of epoch {epoch}", values)
    yield f"{len(rows)} epochs"


def images(name: str, run, locked: Locked, link: str) -> Iterator[str]:
    """What MLflow has of the images that the run saw. Those to test with are sealed, and not looked at."""
    for used in run.inputs.dataset_inputs:
        role = next((tag.value for tag in used.tags if tag.key == "mlflow.data.context"), None)
        if ROLES.get(used.dataset.name) != role:
            raise Broken(f"{link}, data set {used.dataset.name}", f"it was used for {role}")
    if name == "ensemble":
        return
    seen = store.datasets(run)
    for folder in (paths.TRAIN, paths.VALIDATION):
        recorded = run.data.tags.get(f"dep.{folder}", "")
        if locked.commit is not None or not folder.is_dir() or locked.md5(folder, recorded)[0] != recorded:
            continue  # not here any more
        known, digest = store.dataset(folder, *splits.load(folder))
        if seen.get(known) != digest:
            raise Broken(f"{link}, data set {known}", f"its digest is {seen.get(known)}, {digest} in {folder}")
        yield f"data set {known}, digest {digest}"


CHECKS = (model, probabilities, figures, epochs, images)
