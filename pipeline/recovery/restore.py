"""An empty or lost MLflow store, told again from files: receipts, histories, models, reports, registry, exports."""

from pathlib import Path

import pandas as pd

from pipeline.core import paths
from pipeline.core.errors import UserError
from pipeline.core.files import RESTORE, checksum, read_json
from pipeline.data import splits
from pipeline.export import publish
from pipeline.formats import keras_file
from pipeline.registry import promotion, versions
from pipeline.reporting import model_card
from pipeline.tracking import logged_models, runs, store

RECEIPT_KEYS = ("run_id", "name", "experiment", "started", "params", "metrics", "tags", "fingerprint")
DECISION_KEYS = ("model", "version", "candidate", "description", "tags", "alias", "champion", "gate")


def restore() -> list[str]:
    """Tell the store what it lacks, and say in a line each what was done. Doing it again adds nothing.

    Raises UserError if a file is damaged, or is not the one of its receipt.
    """
    names = [*read_json(paths.ENSEMBLE / "run.json", "architectures")["architectures"], "ensemble"]
    receipts = {name: _receipt(paths.candidate(name) / "run.json") for name in names}
    decision = read_json(paths.REGISTRY, *DECISION_KEYS) if paths.REGISTRY.exists() else None
    trained = {name: receipt for name, receipt in receipts.items() if receipt["status"] != "skipped"}
    done = []
    for name, receipt in trained.items():
        known, state = runs.look_for(receipt["run_id"]), "is there"
        if known is None:
            _restore_run(name, receipt)
            state = "restored"
        elif _evaluate_again(name, receipt, known):
            state = "is evaluated as in the files again"
        done.append(f"{name}: run {receipt['run_id']} {state}")
    with versions.alone():
        done.append(_restore_version(decision, trained) if decision else "registry: nothing was decided")
        if paths.EDGE.exists():
            exported, edge = read_json(paths.EXPORTED), read_json(paths.EDGE, "model", "candidate", "version")
            done += publish.restore(exported, edge, trained)
    return done


def _receipt(path: Path) -> dict:
    skipped = read_json(path, "status")["status"] == "skipped"
    return read_json(path, "status", *(() if skipped else RECEIPT_KEYS))


def _history(path: Path) -> list[dict]:
    """The rows of a network's history."""
    try:
        rows = pd.read_csv(path)
        return rows[["epoch", *store.EPOCH.values()]].to_dict("records")
    except (ValueError, KeyError) as error:
        raise UserError(f"{path} is damaged ({error}): {RESTORE} {path}`") from None


def _restore_run(name: str, receipt: dict) -> None:
    folder = paths.candidate(name)
    if keras_file.fingerprint(folder / "model.keras") != receipt["fingerprint"]:
        raise UserError(f"{folder}/model.keras is not the model of its run.json: `dvc checkout` brings it back")
    if checksum(folder / "validation.npy") != receipt["tags"].get(logged_models.VALIDATION):
        raise UserError(f"{folder}/validation.npy is not that of its run.json: `dvc checkout` brings it back")
    model = keras_file.load(folder / "model.keras")
    evaluated = _evaluated(name, receipt)
    latest = evaluated or receipt
    history = paths.HISTORY / f"{name}.csv"
    rows = [] if name == "ensemble" else _history(history)
    with runs.restore(latest | {"run_id": receipt["run_id"]}):
        images, labels = splits.load(paths.VALIDATION)
        files = [folder / "validation.npy"]
        if name != "ensemble":
            store.log_dataset(paths.TRAIN, *splits.load(paths.TRAIN), "training")
            store.log_dataset(paths.VALIDATION, images, labels, "validation")
            files += [history, paths.WEIGHTS / name / "manifest.json"]
        if evaluated or name == "ensemble":
            files += [*sorted((paths.REPORTS / name).iterdir()), *sorted((paths.EVALUATION / name).iterdir())]
        store.log_files(*files)
        for row in rows:
            store.log_epoch(row)
        store.log_metrics({key: value for key, value in latest["metrics"].items() if key not in store.EPOCH})
        logged_models.log_model(model, images[:2])


def _evaluate_again(name: str, receipt: dict, run) -> bool:
    """Tell a run of its evaluation that the files have, if its last one was another; return whether it was.

    DVC restores an older one from its cache, of which MLflow is not told: also after an evaluation that was cut short.
    """
    evaluated = _evaluated(name, receipt)
    if evaluated is None:
        return False
    tags = {key: value for key, value in evaluated["tags"].items() if key.startswith("evaluate.")}
    told = run.data.metrics | evaluated["metrics"] == run.data.metrics and run.data.tags | tags == run.data.tags
    if told and run.info.status == runs.ENDED:
        return False
    with runs.resume(run.info.run_id, "evaluate"):
        store.log_files(*sorted((paths.REPORTS / name).iterdir()), *sorted((paths.EVALUATION / name).iterdir()))
        store.log_metrics({key: value for key, value in evaluated["metrics"].items() if key not in store.EPOCH})
        store.log_tags(tags)
    return True


def _evaluated(name: str, receipt: dict) -> dict | None:
    """The run's receipt after its evaluation; None if what was evaluated last is a run before this one."""
    path = paths.PREDICTIONS / name / "run.json"
    latest = read_json(path, "run_id", "tags", "metrics") if path.exists() else {"run_id": None, "tags": {}}
    same = receipt["run_id"] in (latest["run_id"], latest["tags"].get(runs.RESTORED))  # or evaluated when restored
    return latest if same else None


def _restore_version(decision: dict, receipts: dict[str, dict]) -> str:
    model, seen = decision["model"], promotion.history(decision["model"])
    receipt = receipts.get(decision["candidate"])  # its run id is not that of registry.json if it was restored before
    if receipt is None or receipt["fingerprint"] != decision["tags"].get(logged_models.FINGERPRINT):
        return (
            f"registry: {model} version {decision['version']} is of another model than the files: `dvc repro` decides"
        )
    run = runs.find(receipt["run_id"])
    address = logged_models.model_uri(run)
    known = versions.version_of(model, address)
    if known and known.current_stage != "None":  # which it is if it was registered, and the process died
        return f"registry: {model} version {known.version} is there"
    tags = decision["tags"] | {"run_id": run.info.run_id, "restored.version": decision["version"]}
    description = model_card.describe(decision["description"], paths.MODEL_CARD.read_text())
    for file in (paths.MODEL_CARD, paths.PAGE):
        store.log_file(file, run.info.run_id)
    store.log_json(versions.EVIDENCE, decision["gate"], run.info.run_id)
    version = versions.register(model, address, description, tags)
    why, evidence = f"restored from files, where it was version {decision['version']}", tags.get(versions.DECISION)
    if decision["alias"] == promotion.CHAMPION:
        promotion.promote(model, version, why, seen, evidence, "restore")
    else:
        promotion.refuse(model, version, why, seen, evidence)
    if decision["champion"] and promotion.champion(model) is None:
        elsewhere = (
            f"champion {decision['champion']} is of another commit: check that out, `dvc checkout`, restore there, too"
        )
        return f"registry: {model} version {version} restored as {decision['alias']}; {elsewhere}"
    return f"registry: {model} version {version} restored as {decision['alias']}"
