"""Stage `ensemble`: soft voting, chosen on the validation images, then scored once on the test images."""

import numpy as np

from pipeline.core import environment, errors, paths
from pipeline.core.files import fresh_folder, read_json, write_array, write_json
from pipeline.data import cifar10, splits
from pipeline.evaluation import ensemble, metrics, record
from pipeline.formats import keras_archive, keras_model
from pipeline.layers import wrappers
from pipeline.tracking import provenance

NEEDED = 200_000_000  # bytes
CHECKED = 500  # images
COSTS = ("train_seconds", "train_cpu_seconds")  # of the members, added up


def main() -> None:
    params = environment.check(store=False)
    errors.require_space(paths.ENSEMBLE, NEEDED)
    folder = fresh_folder(paths.ENSEMBLE)
    architectures = read_json(paths.ARCHITECTURES)
    trained = [name for name in architectures if read_json(paths.MODELS / name / "model.json")["status"] == "trained"]
    if not trained:
        raise errors.UserError("no architecture could be trained: give weights, or add custom_cnn to models")

    validation_labels = splits.labels(paths.VALIDATION)
    validation = {name: np.load(paths.MODELS / name / "validation.npy") for name in trained}
    vote = ensemble.choose(validation, validation_labels, params.ensemble.rounds)
    chosen = {"weights": vote.weights, "temperature": vote.temperature}
    write_json(paths.VOTE, chosen | {"architectures": architectures})
    tests = {name: np.load(paths.PREDICTIONS / name / "test.npy") for name in trained}
    test = vote.average(tests)

    members = [keras_model.load(paths.MODELS / name / "model.keras") for name in vote.weights]
    model = wrappers.ensemble(members, list(vote.weights.values()), vote.temperature)
    keras_model.save(model, folder / "model.keras")
    write_array(folder / "validation.npy", vote.average(validation))
    write_array(folder / "test.npy", test)
    images, batch_size = splits.images(paths.TEST), params.evaluation.batch_size
    saved = keras_model.load(folder / "model.keras")
    # Its members' test probabilities are known already: what is served must give what they were averaged to.
    difference = np.abs(saved.predict(images[:CHECKED], batch_size, verbose=0) - test[:CHECKED]).max()
    if difference > 1e-4:
        raise RuntimeError(f"the ensemble's model and its members' predictions differ by {difference}")
    fingerprint = keras_archive.fingerprint(folder / "model.keras")
    facts = {"status": "trained", "fingerprint": fingerprint, "parameters": model.count_params()}
    write_json(folder / "model.json", facts | chosen)

    labels = splits.labels(paths.TEST)
    best = max(vote.weights, key=lambda name: (validation[name].argmax(axis=1) == validation_labels).mean())
    paired = {"member": best} | metrics.mcnemar(test, tests[best], labels)
    scores = record.write(
        "ensemble",
        vote.average(validation),
        test,
        labels,
        params.evaluation.ece_bins,
        {"parameters": facts["parameters"], "size_mb": (folder / "model.keras").stat().st_size / 1e6},
        against_best_member=paired,
    )
    tables = paths.REPORTS / "ensemble"
    metrics.paired(tests | {"ensemble": test}, labels).to_csv(tables / "paired.csv", index=False)
    metrics.helps(test, tests[best], labels, cifar10.CLASSES).to_csv(tables / "helps.csv", index=False)
    spent = [read_json(paths.RECORDS / "train" / f"{name}.json") for name in vote.weights]
    made = provenance.git() | {"profile": params.profile} | {key: sum(member[key] for member in spent) for key in COSTS}
    record.write_cost("ensemble", record.seconds_per_1000(saved, images, batch_size), **made)
    shares = ", ".join(f"{name} {weight:.2f}" for name, weight in vote.weights.items())
    print(f"ensemble of {shares}: test accuracy {scores['test']['accuracy']:.4f}")
    print(f"against {best} alone: {paired['better']} images better, {paired['worse']} worse, p {paired['p']:.1e}")
