"""Model cards: Hugging Face's headings, metadata that parse, the files' figures, a description that MLflow takes."""

import json
import re
from pathlib import Path

import pytest
import yaml
from mlflow.store.model_registry.dbmodels.models import SqlModelVersion

from pipeline.core import paths
from pipeline.core.files import read_json
from pipeline.data import cifar10
from pipeline.reporting import facts, model_card

ADDRESS = "models:/cifar10-classifier@champion"
HEADINGS = [  # of Hugging Face's template, in its order
    "Model Details",
    "Uses",
    "Bias, Risks, and Limitations",
    "How to Get Started with the Model",
    "Training Details",
    "Evaluation",
    "Environmental Impact",
    "Technical Specifications",
    "Citation",
]
SCORES = {"accuracy": 0.9, "accuracy_low": 0.88, "accuracy_high": 0.92, "top3": 0.99, "nll": 0.3, "ece": 0.0123}
EXPORT = {
    "role": "best",
    "candidate": "ensemble",
    "format": "litert",
    "precision": "int8",
    "file": "model.int8.tflite",
    "size_mb": 3.14,
    "agreement": 0.9876,
    "accuracy": 0.8912,
    "keras_accuracy": 0.9,
    "accuracy_drop": 0.0088,
    "drop_low": 0.0011,
    "drop_high": 0.0165,
    "latency_ms_1_thread": 2.72,
    "latency_ms_2_threads": 1.41,
    "shipped": False,
    "reasons": ["accuracy_drop is 0.0088, limit 0.005"],
    "run_id": "e" * 32,
    "images": 4500,
}


def receipt(name: str, weights: dict, **params: str) -> dict:
    return {
        "status": "trained",
        "model_uri": f"models:/m-{name}",
        "fingerprint": "f" * 64,
        "device": "CPU",
        "precision": "float32",
        "weights": weights,
        "epochs": 7,
        "train_seconds": 1234.0,
        "trunk_seconds": 56.0,
        "trunk_cpu_seconds": 100.0,
        "trunk_peak_memory_gb": 1.0,
        "wall_seconds": 1000.0,
        "cpu_seconds": 2000.0,
        "peak_memory_gb": 1.5,
        "run_id": f"run-of-{name}",
        "params": {"seed": "3", "training.epochs": "7", "trunk.cut": "none", "ensemble.rounds": "none"} | params,
        "tags": {"git.commit": "c" * 40, "git.changed": "false", "dvc.stage": name, "dep.data/train": "d" * 32},
    }


@pytest.fixture
def files(tmp_path, monkeypatch):
    """What a run with two networks and their ensemble leaves, as far as a card is made of it."""
    monkeypatch.chdir(tmp_path)
    lite0 = {"status": "ready", "file": "lite0.pth", "sha256": "0" * 64, "origin": "Google's release", "official": True}
    cut = {"trunk.cut": "block8", "trunk.resolution": "96", "trunk.views": "2"}
    written = {
        "models/custom_cnn/run.json": receipt("custom_cnn", {"status": "none", "origin": "trained from scratch"}),
        "models/efficientnet_lite0/run.json": receipt("efficientnet_lite0", lite0, **cut),
        "ensemble/run.json": receipt("ensemble", {}),
        "ensemble/vote.json": {"weights": {"custom_cnn": 0.25, "efficientnet_lite0": 0.75}, "temperature": 0.9},
        "reports/data.json": {
            "classes": {split: dict.fromkeys(cifar10.CLASSES, 100) for split in ("train", "validation", "test")}
        },
    }
    for name in ("custom_cnn", "efficientnet_lite0", "ensemble"):
        written[f"metrics/{name}.json"] = {
            "validation": SCORES | {"macro_f1": 0.89, "images": 1000},
            "test": SCORES | {"macro_f1": 0.8976, "images": 1000},
            "test_without_duplicates": SCORES | {"accuracy": 0.8888, "macro_f1": 0.88, "images": 900},
            "test_recall": dict.fromkeys(cifar10.CLASSES, 0.9) | {"cat": 0.5, "ship": 0.95},
            "cost": {"parameters": 1234567, "size_mb": 12.3, "seconds_per_1000_images": 4.5, "train_seconds": 60.0},
            "spent": {"wall_seconds": 20.0, "cpu_seconds": 30.0, "peak_memory_gb": 2.5},
        }
    for name, value in written.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(json.dumps(value))


def front_matter(text: str) -> dict:
    return yaml.safe_load(text.split("---\n")[1])


def headings(text: str, level: str = "##") -> list[str]:
    return re.findall(f"^{level} (.+)$", text, re.MULTILINE)


@pytest.mark.usefixtures("files")
@pytest.mark.parametrize("name", ["custom_cnn", "efficientnet_lite0", "ensemble"])
def test_a_card_has_hugging_faces_headings_and_metadata(name):
    text = model_card.render(facts.collect(name, ADDRESS))
    assert headings(text) == [*HEADINGS, "Lineage"]
    assert {"Direct Use", "Out-of-Scope Use", "Training Data", "Training Procedure", "Results"} <= set(
        headings(text, "###")
    )
    metadata = front_matter(text)
    assert (metadata["license"], metadata["library_name"]) == ("unknown", "keras")
    assert ("ILSVRC/imagenet-1k" in metadata["datasets"]) == (name != "custom_cnn")
    (result,) = metadata["model-index"][0]["results"]
    assert result["task"]["type"] == metadata["pipeline_tag"] == "image-classification"
    assert [(metric["type"], metric["value"]) for metric in result["metrics"]] == [("accuracy", 0.9), ("f1", 0.8976)]


@pytest.mark.usefixtures("files")
def test_the_figures_are_those_of_the_files():
    text = model_card.render(facts.collect("ensemble", ADDRESS, exports=[EXPORT]))
    assert "| test | 1,000 | 90.00 (88.00 to 92.00) | 99.00 | 0.3000 | 0.0123 | 0.8976 |" in text
    assert "| cat | 50.00 (40.38 to 59.62) | 100 |" in text  # Wilson's interval of 50 in 100
    assert "of cat 50.0% are recognised, of ship 95.0%" in text
    assert "88.88% of 900 images, with them 90.00% of 1,000" in text
    assert "`custom_cnn` (0.25), `efficientnet_lite0` (0.75)" in text
    assert "Finetuned from model:** efficientnet_lite0: Google's release\n" in text
    assert "| `trunk.cut` | none | block8 |" in text
    assert "| custom_cnn | 7 | 1,234 | 56 | CPU |" in text
    assert "**CPU seconds:** 4,290," in text  # (2,000 + 100 + 30) of each network, and 30 of the ensemble
    assert "| ensemble | 0 | 0 | 30 |" in text
    assert "energy was not measured" in text
    assert "**License:** none is stated" in text
    assert (
        "| `model.int8.tflite` | litert, int8 | 3.1 | 89.12 | 0.88 (0.11 to 1.65) | 98.76 | 2.72 | no: accuracy" in text
    )
    assert f'load_model("{ADDRESS}")' in text
    assert "| run of custom_cnn | `run-of-custom_cnn` |" in text


@pytest.mark.usefixtures("files")
def test_what_there_is_not_is_not_told():
    text = model_card.render(facts.collect("custom_cnn", ADDRESS, exports=[EXPORT]))
    for absent in ("Exported Files", "Promotion", "trunk.cut", "run of", "ImageNet", "weights and the candidate"):
        assert absent not in text
    assert "none, trained from scratch" in text


@pytest.mark.usefixtures("files")
def test_the_gates_decision_is_told():
    check = {"check": "mcnemar_p", "value": 0.2, "limit": 0.0125, "passed": False}
    free = {"check": "size_mb", "value": 12.3, "limit": None, "passed": True}
    decision = {"promote": False, "reason": "mcnemar_p is 0.2, limit 0.0125", "checks": [check, free], "evidence": {}}
    text = model_card.render(facts.collect("ensemble", ADDRESS, decision))
    assert "refused, by validation images: mcnemar_p is 0.2, limit 0.0125." in text
    assert "| mcnemar_p | 0.2 | 0.0125 | no |\n| size_mb | 12.3 | any | yes |" in text


def test_mlflow_takes_no_longer_description():
    assert SqlModelVersion.__table__.c.description.type.length == model_card.LONGEST


@pytest.mark.usefixtures("files")
def test_a_short_card_is_the_description_after_the_verdict(monkeypatch):
    monkeypatch.setattr(model_card, "LONGEST", 50_000)
    text = model_card.render(facts.collect("ensemble", ADDRESS))
    body = text.split("---\n", 2)[2]
    assert model_card.describe("promoted: why", text) == f"promoted: why\n{body}"


@pytest.mark.usefixtures("files")
def test_a_long_card_loses_whole_sections_and_names_them():
    text = model_card.render(facts.collect("ensemble", ADDRESS, exports=[EXPORT] * 12))
    described = model_card.describe("promoted: why", text)
    assert described.startswith("promoted: why\n\n# Model Card for ensemble")
    assert len(described) <= model_card.LONGEST
    kept = headings(described)
    left_out = described.rpartition("Left out here: ")[2].partition(". The whole card is")[0].split("; ")
    assert {*kept, *left_out} == set(headings(text))
    assert not {*kept} & {*left_out}
    assert {"Model Details", "Evaluation"} <= set(kept)
    assert "Training Details" not in kept
    for section in described.split("\n## ")[1:-1]:
        assert f"\n## {section}" in text


def test_the_version_that_was_registered_has_its_card(small):
    """In the file, among the artifacts of its run, and in its description."""
    decision, text = small.read("registry.json"), (small.folder / paths.MODEL_CARD).read_text()
    assert headings(text) == [*HEADINGS, "Lineage"]
    assert "\n" not in decision["description"]
    version = small.client.get_model_version(decision["model"], decision["version"])
    assert version.description == model_card.describe(decision["description"], text)
    assert decision["run_id"] in text
    assert Path(small.client.download_artifacts(decision["run_id"], "model_card.md")).read_text() == text
    test = read_json(small.folder / f"metrics/{decision['candidate']}.json")["test"]
    accuracy = front_matter(text)["model-index"][0]["results"][0]["metrics"][0]
    assert accuracy["value"] == test["accuracy"]
