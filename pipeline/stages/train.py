"""Stage `train@ARCH`: trains one architecture, in one MLflow run, and saves the model that will be served."""

from pipeline.core import environment, errors, paths, process
from pipeline.core.files import fresh_folder, read_json, replacing, write_array, write_json
from pipeline.core.schema import Params
from pipeline.data import manifest, splits
from pipeline.formats import keras_file
from pipeline.tracking import provenance
from pipeline.tracking.attempts import attempt

NEEDED = 300_000_000  # bytes


def main() -> None:
    name, params = environment.check_model()
    errors.require_space(paths.MODELS, NEEDED)
    folder = fresh_folder(paths.MODELS / name)
    weights = manifest.read(name)
    if weights["status"] == "skipped":
        write_json(folder / "run.json", {"status": "skipped", "reason": weights["reason"]})
        with replacing(paths.HISTORY / f"{name}.csv") as temporary:
            temporary.write_text("epoch,val_accuracy\n")
        print(f"{name}: skipped: {weights['reason']}")
        return
    train(name, params, weights)


def train(name: str, params: Params, weights: dict) -> None:
    from pipeline.tracking import logged_models, runs, store

    store.connect(params)  # before the seconds that TensorFlow takes to import
    from pipeline.training import methods

    folder, history_csv, stage = paths.MODELS / name, paths.HISTORY / f"{name}.csv", f"train@{name}"
    used = methods.prepare(name, params)
    tags = provenance.tags(stage) | {f"weights.{key}": str(value) for key, value in weights.items()}
    tags |= {"profile": params.profile, "device": used.name, "precision": used.precision, "xla": str(used.xla)}
    trunk = read_json(paths.TRUNKS / name / "trunk.json")
    tags |= {f"trunk.{key}": trunk[key] for key in ("device", "precision") if key in trunk}
    with attempt(stage, str(used)) as current, runs.start(name, tags, current) as run:
        store.log_params(params, params.models[name])
        images, labels = splits.load(paths.VALIDATION)
        store.log_dataset(paths.TRAIN, *splits.load(paths.TRAIN), "training")
        store.log_dataset(paths.VALIDATION, images, labels, "validation")

        trained = methods.train(name, params, used, store.log_epoch, current.folder / "epoch.npz")
        with replacing(folder / "model.keras") as temporary:
            trained.model.save(temporary)
        write_array(folder / "validation.npy", trained.validation)
        with replacing(history_csv) as temporary:
            trained.history.to_csv(temporary, index=False)

        trunk_seconds = trunk.get("seconds", 0.0)
        cost = {
            "epochs": len(trained.history),
            "train_seconds": trained.seconds + trunk_seconds,
            "trunk_seconds": trunk_seconds,
            "trunk_cpu_seconds": trunk.get("cpu_seconds", 0.0),
            "trunk_peak_memory_gb": trunk.get("peak_memory_gb", 0.0),
            **process.spent(),
            "temperature": trained.temperature,
            "parameters": trained.model.count_params(),
        }
        store.log_metrics(cost)
        store.log_files(history_csv, folder / "validation.npy", paths.WEIGHTS / name / "manifest.json")
        made = {
            "status": "trained",
            "model_uri": logged_models.log_model(trained.model, images[:2]),
            "fingerprint": keras_file.fingerprint(folder / "model.keras"),
            "device": used.name,
            "precision": used.precision,
            "gpus": trained.gpus,
            "profile": params.profile,
            "weights": weights,
        }
        store.log_tags(logged_models.contents(made["fingerprint"], folder / "validation.npy"))
        write_json(folder / "run.json", made | cost | runs.receipt(run))
    best = trained.history["val_accuracy"].max()
    print(f"{name}: {cost['epochs']} epochs in {trained.seconds:.0f} s, validation accuracy {best:.4f}")


if __name__ == "__main__":
    errors.run(main)
