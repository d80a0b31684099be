"""Results as files: of three networks and an ensemble, which guess, and of one that was skipped. Nothing is trained."""

from pathlib import Path

import numpy as np
import pandas as pd
from ruamel.yaml import YAML

from pipeline.core import paths
from pipeline.core.files import write_json
from pipeline.data import cifar10, splits
from pipeline.evaluation import metrics, record

NETWORKS = {"custom_cnn": 0.9, "mobilenetv2": 0.93, "efficientnet_lite0": 0.92}
REASON = "ImageNet weights unreachable, and none in the weights folder"
EXPORT = {"role": "best", "candidate": "ensemble", "format": "litert", "size_mb": 31.2, "images": 4500}
EXPORT |= {"accuracy_drop": 0.001, "drop_low": -0.002, "drop_high": 0.004}
EXPORT |= {"accuracy": 0.93, "keras_accuracy": 0.931, "latency_ms_1_thread": 4.1, "latency_ms_2_threads": 2.6}


def write(pictures: np.ndarray, labels: np.ndarray) -> None:
    """Write what the stages would leave in the current folder; the ensemble is refused.

    `pictures`: uint8 (N, 32, 32, 3), the images of validation and test; `labels`: (N,).
    """
    splits.save(paths.TEST, pictures, labels)
    splits.save(paths.VALIDATION, pictures, labels)
    paths.REPORTS.mkdir()
    pd.DataFrame({"image": [3, 4]}).to_csv(paths.DUPLICATES, index=False)
    write_json(paths.DUPLICATES.with_suffix(".json"), {"with_a_near_duplicate": 2})
    counts = dict.fromkeys(cifar10.CLASSES, 100)
    write_json(paths.REPORTS / "data.json", {"classes": dict.fromkeys(("train", "validation", "test"), counts)})
    guesses = {name: guessed(labels, share, seed) for seed, (name, share) in enumerate(NETWORKS.items())}
    guesses["ensemble"] = sum(guesses.values()) / len(NETWORKS)
    against = {"against_best_member": {"member": "mobilenetv2"}}
    against["against_best_member"] |= metrics.mcnemar(guesses["ensemble"], guesses["mobilenetv2"], labels)
    for size, (name, guess) in enumerate(guesses.items(), 1):
        more = against if name == "ensemble" else {}
        record.write(name, guess, guess, labels, 15, {"parameters": 10**6, "size_mb": 4.0 * size}, **more)
        write_facts(name)
    history = {"epoch": [1, 2], "loss": [1.5, 1.2], "accuracy": [0.6, 0.7], "val_loss": [1.4, 1.3]}
    for name in NETWORKS:
        paths.HISTORY.mkdir(parents=True, exist_ok=True)
        pd.DataFrame(history | {"val_accuracy": [0.5, 0.8]}).to_csv(paths.HISTORY / f"{name}.csv", index=False)
    write_json(paths.METRICS / "resnet50v2.json", {"skipped": REASON})
    tables = paths.REPORTS / "ensemble"
    metrics.paired(guesses, labels).to_csv(tables / "paired.csv", index=False)
    helps = metrics.helps(guesses["ensemble"], guesses["mobilenetv2"], labels, cifar10.CLASSES)
    helps.to_csv(tables / "helps.csv", index=False)
    outs = [{"path": str(path), "md5": f"{path.name:a<32}.dir"} for path in (paths.TRAIN, paths.VALIDATION, paths.TEST)]
    YAML(pure=True).dump({"stages": {"prepare": {"outs": outs}}}, Path("dvc.lock"))
    names = ["custom_cnn", "mobilenetv2", "resnet50v2", "efficientnet_lite0"]
    write_json(paths.MODELS / "resnet50v2/model.json", {"status": "skipped", "reason": REASON})
    vote = {"weights": dict.fromkeys(NETWORKS, 1 / 3), "temperature": 0.9, "architectures": names}
    write_json(paths.VOTE, vote)
    measured = {"agreement": 0.99, "precision": "float32", "file": "x", "shipped": True, "reasons": []}
    refused = dict.fromkeys(EXPORT) | {"candidate": "ensemble", "role": "best", "format": "onnx"}
    refused |= {"agreement": None, "precision": "int8", "file": None, "shipped": False}
    write_json(paths.EXPORTED, [EXPORT | measured, refused | {"reasons": ["the converter refuses <it>"]}])
    write_json(paths.REGISTRY, refusal())


def guessed(labels: np.ndarray, right: float, seed: int) -> np.ndarray:
    """Probabilities (N, 10) whose largest is the label's in about the share `right` of the cases."""
    random = np.random.default_rng(seed)
    logits = random.normal(0, 1, (len(labels), 10))
    chosen = np.where(random.random(len(labels)) < right, labels, random.integers(0, 10, len(labels)))
    logits[np.arange(len(labels)), chosen] += 4 + random.random(len(labels))
    return (np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)).astype("float32")


def write_facts(name: str) -> None:
    """The facts and the records of a candidate."""
    spent = {"wall_seconds": 210.0, "cpu_seconds": 400.0, "peak_memory_gb": 2.0}
    costs = {"train_seconds": 300.0, "train_cpu_seconds": 500.0}
    record = {"git.commit": "c" * 40, "git.changed": "true", "started": "2026-11-25T14:00:00+00:00"}
    facts = {"status": "trained", "fingerprint": "f" * 64}
    evaluated = record | {"seconds_per_1000_images": 1.5, "spent": spent}
    if name == "ensemble":
        facts |= {"weights": dict.fromkeys(NETWORKS, 1 / 3)}
        evaluated |= costs
    else:
        facts |= {"weights": {"status": "ready", "origin": "<somebody's> release", "sha256": "d" * 64}}
        record |= {"device": "CPU", "precision": "float32", "profile": "default"} | costs | spent
        write_json(paths.RECORDS / "train" / f"{name}.json", record)
        write_json(paths.RECORDS / "trunk" / f"{name}.json", spent if name != "custom_cnn" else {"skipped": "no trunk"})
    write_json(paths.RECORDS / "evaluate" / f"{name}.json", evaluated)
    write_json(paths.candidate(name) / "model.json", facts)


def refusal() -> dict:
    checks = [{"check": "ece", "value": 0.0423, "limit": 0.03, "passed": False}]
    evidence = {
        "difference": 0.01,
        "difference_low": -0.002,
        "difference_high": 0.02,
        "better": 9,
        "worse": 4,
        "p": 0.13,
    }
    gate = {"promote": False, "reason": "ece is 0.0423, limit 0.03", "checks": checks, "evidence": evidence}
    decision = {"model": "cifar10-classifier", "version": "7", "candidate": "ensemble"}
    decision |= {"stage": "Staging", "alias": "challenger", "champion": "5", "decided_by": "validation accuracy"}
    shares = dict.fromkeys(NETWORKS, 0.9) | {"ensemble": 0.9432}
    return decision | {"candidates": shares, "gate": gate, "tags": {"evidence": "a" * 64}}
