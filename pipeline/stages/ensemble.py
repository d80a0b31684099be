"""Stage `ensemble`: soft voting, chosen on the validation images, then scored once on the test images."""

import numpy as np

from pipeline.core import environment, errors, paths
from pipeline.core.files import fresh_folder, read_json, replacing, write_array, write_json
from pipeline.data import cifar10, splits
from pipeline.evaluation import ensemble, metrics, record
from pipeline.formats import keras_file
from pipeline.tracking import logged_models, provenance, runs, store
from pipeline.tracking.attempts import attempt

NEEDED = 200_000_000  # bytes
CHECKED = 500  # images


def main() -> None:
    params = environment.check()
    errors.require_space(paths.ENSEMBLE, NEEDED)
    folder = fresh_folder(paths.ENSEMBLE)
    architectures = read_json(paths.ARCHITECTURES)
    receipts = {name: read_json(paths.MODELS / name / "run.json") for name in architectures}
    trained = {name: receipt for name, receipt in receipts.items() if receipt["status"] == "trained"}
    if not trained:
        raise errors.UserError("no architecture could be trained: give weights, or add custom_cnn to models")

    _, validation_labels = splits.load(paths.VALIDATION)
    validation = {name: np.load(paths.MODELS / name / "validation.npy") for name in trained}
    vote = ensemble.choose(validation, validation_labels, params.ensemble.rounds)
    write_json(paths.VOTE, {"weights": vote.weights, "temperature": vote.temperature})
    tests = {name: np.load(paths.PREDICTIONS / name / "test.npy") for name in trained}
    test = vote.average(tests)

    store.connect(params)
    tags = provenance.tags("ensemble") | {f"member.{name}": trained[name]["run_id"] for name in vote.weights}
    with attempt("ensemble") as current, runs.start("ensemble", tags, current) as run:
        from pipeline.layers import wrappers

        loaded = [keras_file.load(paths.MODELS / name / "model.keras") for name in vote.weights]
        model = wrappers.ensemble(loaded, list(vote.weights.values()), vote.temperature)
        with replacing(folder / "model.keras") as temporary:
            model.save(temporary)
        images = splits.images(paths.TEST)
        saved = keras_file.load(folder / "model.keras")
        batch_size = params.evaluation.batch_size
        check(saved, images[:CHECKED], test[:CHECKED], batch_size)
        write_array(folder / "validation.npy", vote.average(validation))
        write_array(folder / "test.npy", test)

        cost = {
            "parameters": model.count_params(),
            "size_mb": (folder / "model.keras").stat().st_size / 1e6,
            "seconds_per_1000_images": record.seconds_per_1000(saved, images, batch_size),
            **record.training(*(trained[name] for name in vote.weights)),
        }
        labels = splits.labels(paths.TEST)
        store.log_params(params, None, vote.weights)
        store.log_dataset(paths.TEST, images, labels, "test")
        bins = params.evaluation.ece_bins
        best = max(vote.weights, key=lambda name: (validation[name].argmax(axis=1) == validation_labels).mean())
        paired = {"member": best} | metrics.mcnemar(test, tests[best], labels)
        scores = record.record(
            "ensemble", vote.average(validation), test, images, labels, bins, cost, against_best_member=paired
        )
        tables = paths.REPORTS / "ensemble"
        metrics.paired(tests | {"ensemble": test}, labels).to_csv(tables / "paired.csv", index=False)
        metrics.helps(test, tests[best], labels, cifar10.CLASSES).to_csv(tables / "helps.csv", index=False)
        record.log("ensemble", scores)
        store.log_metrics({"test_p_against_best_member": paired["p"]})
        store.log_files(folder / "validation.npy")
        made = {
            "status": "trained",
            "architectures": architectures,
            "model_uri": logged_models.log_model(model, images[:2]),
            "fingerprint": keras_file.fingerprint(folder / "model.keras"),
            "weights": vote.weights,
            "temperature": vote.temperature,
        }
        store.log_tags(logged_models.contents(made["fingerprint"], folder / "validation.npy"))
        write_json(folder / "run.json", made | runs.receipt(run))
    shares = ", ".join(f"{name} {weight:.2f}" for name, weight in vote.weights.items())
    print(f"ensemble of {shares}: test accuracy {scores['test']['accuracy']:.4f}")
    print(f"against {best} alone: {paired['better']} images better, {paired['worse']} worse, p {paired['p']:.1e}")


def check(model, images: np.ndarray, expected: np.ndarray, batch_size: int) -> None:
    """Raise RuntimeError unless the saved ensemble gives the probabilities `expected` for these images.

    They were averaged from its members' test probabilities, which are known already: what is served must give the same.
    """
    difference = float(np.abs(model.predict(images, batch_size, verbose=0) - expected).max())
    if difference > 1e-4:
        raise RuntimeError(f"the ensemble's model and its members' predictions differ by {difference}")


if __name__ == "__main__":
    errors.run(main)
