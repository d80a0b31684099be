"""Stage `train@ARCH`: trains one architecture, and saves the model that will be served. MLflow shows the epochs."""

from typing import Any

from pipeline.core import environment, errors, paths, process
from pipeline.core.files import fresh_folder, read_json, replacing, write_array, write_json
from pipeline.core.schema import Params
from pipeline.data import manifest
from pipeline.formats import keras_archive

NEEDED = 300_000_000  # bytes


def main() -> None:
    name, params = environment.check_model()
    errors.require_space(paths.MODELS, NEEDED)
    folder = fresh_folder(paths.MODELS / name)
    weights = manifest.read(name)
    if weights["status"] == "skipped":
        write_json(folder / "model.json", {"status": "skipped", "reason": weights["reason"]})
        write_json(paths.RECORDS / "train" / f"{name}.json", {"skipped": weights["reason"]})
        with replacing(paths.HISTORY / f"{name}.csv") as temporary:
            temporary.write_text("epoch,val_accuracy\n")
        print(f"{name}: skipped: {weights['reason']}")
        return
    train(name, params, weights)


def train(name: str, params: Params, weights: dict[str, str]) -> None:
    """Train an architecture: write its model, the validation images' probabilities, history, facts and record."""
    from pipeline.tracking import attempts, provenance, store, stream, view

    store.connect(params)  # before the seconds that TensorFlow takes to import
    from pipeline.formats import keras_model
    from pipeline.training import methods

    folder, stage = paths.MODELS / name, paths.stage(name)
    used = methods.prepare(name, params)
    record: dict[str, Any] = provenance.git() | {"started": process.began(), "profile": params.profile}
    record |= {"device": used.name, "precision": used.precision}
    with attempts.attempt(stage, str(used)) as current:
        shown = {"dvc.stage": stage} | {key: record[key] for key in view.RECORDED}
        flat = view.params(name, provenance.inputs(stage), {})
        with stream.stream(name, shown, flat, current) as live:
            trained = methods.train(name, params, used, live.epoch, current.folder / "epoch.npz")
            keras_model.save(trained.model, folder / "model.keras")
            write_array(folder / "validation.npy", trained.validation)
            with replacing(paths.HISTORY / f"{name}.csv") as temporary:
                trained.history.drop(columns="seconds").to_csv(temporary, index=False)
            facts: dict[str, Any] = {
                "status": "trained",
                "epochs": len(trained.history),
                "parameters": trained.model.count_params(),
                "temperature": trained.temperature,
                "fingerprint": keras_archive.fingerprint(folder / "model.keras"),
                "weights": weights,
            }
            trunk = read_json(paths.RECORDS / "trunk" / f"{name}.json")
            spent = process.spent()
            record |= {
                "gpus": trained.gpus,
                "versions": process.versions(),
                "train_seconds": trained.seconds + trunk.get("seconds", 0.0),
                "train_cpu_seconds": spent["cpu_seconds"] + trunk.get("cpu_seconds", 0.0),
                "trunk_seconds": trunk.get("seconds", 0.0),
                **spent,
            }
            write_json(paths.RECORDS / "train" / f"{name}.json", record)
            write_json(folder / "model.json", facts)
            live.result(stage, facts["fingerprint"])
    best = trained.history["val_accuracy"].max()
    print(f"{name}: {facts['epochs']} epochs in {trained.seconds:.0f} s, validation accuracy {best:.4f}")
