"""Stage `train@ARCH`: trains one architecture, in one MLflow run, and saves the model that will be served."""

import resource
import time

from pipeline import cifar10, errors, manifest, paths, preflight
from pipeline.console import verbosity
from pipeline.files import fresh_folder, read_json, replacing, write_array, write_json
from pipeline.params import Params

NEEDED = 300_000_000  # bytes


def main() -> None:
    name, params = preflight.check_model()
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
    from pipeline import tracking

    tracking.connect(params)  # before the seconds that TensorFlow takes to import
    from pipeline import calibration, device, methods, serving, training

    folder, history_csv = paths.MODELS / name, paths.HISTORY / f"{name}.csv"
    settings = params.models[name]
    images, labels = cifar10.load(paths.VALIDATION)
    method = methods.of(settings)
    used = device.prepare(params.compute, method.bfloat16_flags(name, params), params.seed)
    tags = {f"weights.{key}": str(value) for key, value in weights.items()}
    tags |= {"profile": params.profile, "device": used.name, "precision": used.precision, "xla": str(used.xla)}
    trunk = read_json(paths.TRUNKS / name / "trunk.json")
    tags |= {f"trunk.{key}": trunk[key] for key in ("device", "precision") if key in trunk}
    with tracking.start(name, f"train@{name}", tags) as run:
        tracking.log_params(params, settings)
        tracking.log_dataset(paths.TRAIN, *cifar10.load(paths.TRAIN), "training")
        tracking.log_dataset(paths.VALIDATION, images, labels, "validation")

        began = time.perf_counter()
        with device.spread(used, settings.training.batch_size) as shared:
            task = method.task(name, params)
            history = training.fit(task, settings.training, shared, tracking.log_epoch)
        seconds = time.perf_counter() - began
        trunk_seconds = trunk.get("seconds", 0.0)

        network = serving.averaged(task.finish(), settings.training.views)
        logits = network.predict(images, settings.training.batch_size, verbosity())
        temperature = calibration.best_temperature(logits, labels)
        model = serving.calibrated(network, temperature, name)
        with replacing(folder / "model.keras") as temporary:
            model.save(temporary)
        write_array(folder / "validation.npy", calibration.probabilities(logits, temperature))
        with replacing(history_csv) as temporary:
            history.to_csv(temporary, index=False)

        cost = {
            "epochs": len(history),
            "train_seconds": seconds + trunk_seconds,
            "trunk_seconds": trunk_seconds,
            "peak_memory_gb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9,  # Linux counts in KiB
            "temperature": temperature,
            "parameters": model.count_params(),
        }
        tracking.log_metrics(cost)
        tracking.log_files(history_csv, paths.WEIGHTS / name / "manifest.json")
        receipt = {
            "status": "trained",
            "run_id": run.info.run_id,
            "experiment": params.tracking.experiment,
            "model_uri": tracking.log_model(model, images[:2]),
            "device": used.name,
            "precision": used.precision,
            "gpus": shared.gpus,
            "profile": params.profile,
            "weights": weights,
        }
        write_json(folder / "run.json", receipt | cost)
    print(f"{name}: {len(history)} epochs in {seconds:.0f} s, validation accuracy {history['val_accuracy'].max():.4f}")


if __name__ == "__main__":
    errors.run(main)
