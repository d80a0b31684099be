"""An empty or lost MLflow store, told again from files: receipts, histories, models, reports, registry.json."""

import pandas as pd

from pipeline import cifar10, model_file, paths, registry, runs, tracking
from pipeline.errors import UserError
from pipeline.files import read_json


def restore() -> list[str]:
    """Tell the store what it lacks, and say in a line each what was done. Doing it again adds nothing.

    Raises UserError if a model is not the one of its receipt.
    """
    names = read_json(paths.ENSEMBLE / "run.json")["architectures"]
    receipts = {name: read_json(paths.MODELS / name / "run.json") for name in names}
    receipts["ensemble"] = read_json(paths.ENSEMBLE / "run.json")
    done = []
    for name, receipt in receipts.items():
        if receipt["status"] == "skipped":
            continue
        known = runs.look_for(receipt["run_id"])
        if known is None:
            _restore_run(name, receipt)
        done.append(f"{name}: run {receipt['run_id']} {'is there' if known else 'restored'}")
    return [*done, _restore_version()]


def _restore_run(name: str, receipt: dict) -> None:
    folder = paths.ENSEMBLE if name == "ensemble" else paths.MODELS / name
    if model_file.fingerprint(folder / "model.keras") != receipt["fingerprint"]:
        raise UserError(f"{folder}/model.keras is not the model of its run.json: `dvc checkout` brings it back")
    model = model_file.load(folder / "model.keras")
    evaluated = paths.PREDICTIONS / name / "run.json"
    latest = read_json(evaluated) if evaluated.exists() else receipt
    with runs.restore(latest):
        images, labels = cifar10.load(paths.VALIDATION)
        files, rows = [folder / "validation.npy"], []
        if name != "ensemble":
            tracking.log_dataset(paths.TRAIN, *cifar10.load(paths.TRAIN), "training")
            tracking.log_dataset(paths.VALIDATION, images, labels, "validation")
            history = paths.HISTORY / f"{name}.csv"
            rows = pd.read_csv(history).to_dict("records")
            files += [history, paths.WEIGHTS / name / "manifest.json"]
        for made in (paths.REPORTS / name, paths.EVALUATION / name):
            files += sorted(made.iterdir()) if made.is_dir() else []
        tracking.log_files(*files)
        for row in rows:
            tracking.log_epoch(row)
        tracking.log_metrics({key: value for key, value in latest["metrics"].items() if key not in tracking.EPOCH})
        tracking.log_model(model, images[:2])


def _restore_version() -> str:
    if not paths.REGISTRY.exists():
        return "registry: nothing was decided"
    decision = read_json(paths.REGISTRY)
    model, seen = decision["model"], registry.history(decision["model"])
    run = runs.find(decision["run_id"])
    address = tracking.model_uri(run)
    known = registry.version_of(model, address)
    if known:
        return f"registry: {model} version {known.version} is there"
    tags = decision["tags"] | {"run_id": run.info.run_id, "restored.version": decision["version"]}
    version = registry.register(model, address, decision["description"], tags)
    tracking.log_json(registry.EVIDENCE, decision["gate"], run.info.run_id)
    why = f"restored from files, where it was version {decision['version']}"
    if decision["gate"]["promote"]:
        registry.promote(model, version, why, seen, "restore")
    else:
        registry.refuse(model, version, why, seen)
    return f"registry: {model} version {version} restored as {decision['alias']}"
