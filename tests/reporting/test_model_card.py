"""Model cards: Hugging Face's headings, metadata that parse, the files' figures, a description that MLflow takes."""

import re
from pathlib import Path

import numpy as np
import pytest
import yaml
from mlflow.store.model_registry.dbmodels.models import SqlModelVersion
from ruamel.yaml import YAML

from pipeline.core import paths
from pipeline.core.files import read_json, write_json
from pipeline.data import cifar10
from pipeline.evaluation import metrics
from pipeline.reporting import model_card

NAMES = ("custom_cnn", "efficientnet_lite0", "ensemble")
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


def record(**more: object) -> dict:
    spent = {"wall_seconds": 1000.0, "cpu_seconds": 2000.0, "peak_memory_gb": 1.5}
    made = {"git.commit": "c" * 40, "git.changed": "false", "started": "2026-11-27T20:02:18+00:00"}
    made |= {"device": "CPU", "precision": "float32", "versions": {"tensorflow": "2.21.0", "keras": "3.15.1"}}
    return made | {"train_seconds": 1234.0, "train_cpu_seconds": 2000.0, "trunk_seconds": 0.0} | spent | more


def locked(name: str, network: dict | None, trunk: dict | None) -> dict:
    """An entry of dvc.lock, as DVC writes it for stage `train`."""
    params = {f"models.{name}.network": network, f"models.{name}.training": {"epochs": 7}, "seed": 3}
    deps = [{"path": path, "md5": "d" * 32} for path in ("data/train", "pipeline/training")]
    return {"deps": deps, "params": {"params.yaml": params | {f"models.{name}.trunk": trunk}}}


@pytest.fixture
def files(tmp_path, monkeypatch):
    """What a run with two networks and their ensemble leaves, as far as a card is made of it."""
    monkeypatch.chdir(tmp_path)
    lite0 = {"status": "ready", "file": "lite0.pth", "sha256": "0" * 64, "origin": "Google's release", "official": True}
    facts = {"status": "trained", "fingerprint": "f" * 64, "parameters": 1234567, "epochs": 7}
    vote = {"weights": {"custom_cnn": 0.25, "efficientnet_lite0": 0.75}, "temperature": 0.9}
    written = {
        "models/custom_cnn/model.json": facts | {"weights": {"status": "none", "origin": "trained from scratch"}},
        "models/efficientnet_lite0/model.json": facts | {"weights": lite0},
        "ensemble/model.json": facts,
        "ensemble/vote.json": vote | {"architectures": list(vote["weights"])},
        "records/train/custom_cnn.json": record(),
        "records/train/efficientnet_lite0.json": record(trunk_seconds=56.0, train_cpu_seconds=2100.0),
        "reports/data.json": {
            "classes": {split: dict.fromkeys(cifar10.CLASSES, 100) for split in ("train", "validation", "test")}
        },
    }
    for name in NAMES:
        written[f"metrics/{name}.json"] = {
            "validation": SCORES | {"macro_f1": 0.89, "images": 1000},
            "test": SCORES | {"macro_f1": 0.8976, "images": 1000},
            "test_without_duplicates": SCORES | {"accuracy": 0.8888, "macro_f1": 0.88, "images": 900},
            "test_recall": dict.fromkeys(cifar10.CLASSES, 0.9),
            "cost": {"parameters": 1234567, "size_mb": 12.3},
        }
        spent = {"wall_seconds": 20.0, "cpu_seconds": 30.0, "peak_memory_gb": 2.5}
        written[f"records/evaluate/{name}.json"] = {"seconds_per_1000_images": 4.5, "spent": spent}
    written["records/evaluate/ensemble.json"] |= {"train_seconds": 2468.0, "train_cpu_seconds": 4100.0}
    for name, value in written.items():
        write_json(Path(name), value)
    stages = {
        "train@custom_cnn": locked("custom_cnn", {"widths": [64, 256], "depth": 2}, None),
        "train@efficientnet_lite0": locked("efficientnet_lite0", None, {"cut": "block8", "resolution": 96}),
        "ensemble": {
            "deps": [{"path": "data/test", "md5": "e" * 32}, {"path": "pipeline/evaluation", "md5": "a" * 32}]
        },
    }
    YAML(pure=True).dump({"schema": "2.0", "stages": stages}, Path("dvc.lock"))
    labels = np.repeat(np.arange(10), 100)
    labels[labels == 9] = 0  # no truck: 200 airplanes
    probabilities = np.eye(10)[labels]
    probabilities[np.flatnonzero(labels == 3)[:50]] = np.eye(10)[5]  # half of the cats are taken for dogs
    for name in NAMES:
        Path("reports", name).mkdir()
        table = metrics.per_class(probabilities, labels, cifar10.CLASSES)
        table.to_csv(f"reports/{name}/report.csv", index=False)


def front_matter(text: str) -> dict:
    return yaml.safe_load(text.split("---\n")[1])


def headings(text: str, level: str = "##") -> list[str]:
    return re.findall(f"^{level} (.+)$", text, re.MULTILINE)


@pytest.mark.usefixtures("files")
@pytest.mark.parametrize("name", ["custom_cnn", "efficientnet_lite0", "ensemble"])
def test_a_card_has_hugging_faces_headings_and_metadata(name):
    text = model_card.render(name, ADDRESS)
    assert headings(text) == [*HEADINGS, "Lineage"]
    assert {"Direct Use", "Out-of-Scope Use", "Training Data", "Training Procedure", "Results"} <= set(
        headings(text, "###")
    )
    metadata = front_matter(text)
    assert (metadata["license"], metadata["library_name"]) == ("apache-2.0", "keras")
    assert ("ILSVRC/imagenet-1k" in metadata["datasets"]) == (name != "custom_cnn")
    (result,) = metadata["model-index"][0]["results"]
    assert result["task"]["type"] == metadata["pipeline_tag"] == "image-classification"
    assert [(metric["type"], metric["value"]) for metric in result["metrics"]] == [("accuracy", 0.9), ("f1", 0.8976)]


@pytest.mark.usefixtures("files")
def test_the_figures_are_those_of_the_files():
    text = model_card.render("ensemble", ADDRESS, exports=[EXPORT])
    (row,) = (line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("| test | "))
    assert {"1,000", "90.00 (88.00 to 92.00)", "99.00", "0.300", "0.0123", "0.8976"} < set(row)  # a new metric adds one
    assert "| cat | 50.00 (40.38 to 59.62) | 100 |" in text  # Wilson's interval of 50 in 100
    assert "| airplane | 100.00 (98.12 to 100.00) | 200 |" in text
    assert "| truck |" not in text  # it has no test images
    assert "recognises 50.00 % of cat images and 100.00 % of airplane images" in text
    assert "88.88 % on 900 images; with them it is 90.00 % on 1,000" in text
    assert "`custom_cnn` 0.25, `efficientnet_lite0` 0.75" in text
    assert "Finetuned from model:** efficientnet_lite0: Google's release\n" in text
    assert "| `trunk.cut` | - | block8 |" in text
    assert "| `network.widths` | [64, 256] | - |" in text
    assert "| efficientnet_lite0 | 7 | 1,234 | 56 | CPU |" in text
    assert "| 1,234,567 | 12.3 | 4.5 | 2468 (4100) |" in text
    assert "**CPU seconds:** 4,190," in text  # 2,000 and 2,100 of the networks, and three evaluations of 30
    assert "| efficientnet_lite0 | 2,100 | 100 | 30 |" in text
    assert "| ensemble | 0 | 0 | 30 |" in text
    assert "energy was not measured" in text
    assert "**License:** Apache-2.0" in text
    assert (
        "| `model.int8.tflite` | litert, int8 | 3.1 | 89.12 | 0.88 (0.11 to 1.65) | 98.76 | 2.72 | no: accuracy" in text
    )
    assert f'load_model("{ADDRESS}")' in text
    assert "`custom_cnn` was trained with tensorflow 2.21.0, keras 3.15.1\n" in text
    assert f"| MD5 of data/test | `{'e' * 32}` |" in text
    assert "pipeline/test" not in text


@pytest.mark.usefixtures("files")
def test_an_export_that_could_not_be_measured_has_the_reason_in_one_cell():
    row = dict.fromkeys(EXPORT) | {"candidate": "ensemble", "format": "onnx", "precision": "int8", "shipped": False}
    row |= {"reasons": ["the converter refuses it: a | b\nc"]}
    text = model_card.render("ensemble", ADDRESS, exports=[row])
    assert "| none | onnx, int8 | - | - | - | - | - | no: the converter refuses it: a \\| b c |\n" in text


@pytest.mark.usefixtures("files")
def test_what_there_is_not_is_not_mentioned():
    text = model_card.render("custom_cnn", ADDRESS, exports=[EXPORT])
    for absent in ("Exported Files", "Promotion", "trunk.cut", "ImageNet", "members and weights", "None"):
        assert absent not in text
    assert "none, trained from scratch" in text


@pytest.mark.usefixtures("files")
def test_tables_are_whole_and_no_three_lines_break():
    text = model_card.render("ensemble", ADDRESS, {"promote": True, "reason": "by hand", "checks": []}, [EXPORT])
    assert "\n\n\n" not in text
    for table in re.findall(r"(?:^\|.*\|\n)+", text, re.MULTILINE):
        assert len({len(re.findall(r"(?<!\\)\|", line)) for line in table.splitlines()}) == 1, table
        assert set(table.splitlines()[1]) == set("| -")


@pytest.mark.usefixtures("files")
def test_the_gates_decision_is_told():
    check = {"check": "mcnemar_p", "value": 0.2, "limit": 0.0125, "passed": False}
    free = {"check": "size_mb", "value": 12.3, "limit": None, "passed": True}
    decision = {"promote": False, "reason": "mcnemar_p is 0.2, limit 0.0125", "checks": [check, free], "evidence": {}}
    text = model_card.render("ensemble", ADDRESS, decision)
    assert "The gate refused this model on the validation images: mcnemar_p is 0.2, limit 0.0125." in text
    assert "| mcnemar_p | 0.2 | 0.0125 | no |\n| size_mb | 12.3 | any | yes |" in text


def test_mlflow_takes_no_longer_description():
    assert SqlModelVersion.__table__.c.description.type.length == model_card.LONGEST


@pytest.mark.usefixtures("files")
def test_a_short_card_is_the_description_after_the_verdict(monkeypatch):
    monkeypatch.setattr(model_card, "LONGEST", 50_000)
    text = model_card.render("ensemble", ADDRESS)
    body = text.split("---\n", 2)[2]
    assert model_card.describe("promoted: why", text) == f"promoted: why\n{body}"


@pytest.mark.usefixtures("files")
def test_a_long_card_loses_whole_sections_and_names_them():
    text = model_card.render("ensemble", ADDRESS, exports=[EXPORT] * 12)
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
    assert decision["tags"]["model.fingerprint"] in text
    assert Path(small.client.download_artifacts(version.run_id, "model_card.md")).read_text() == text
    test = read_json(small.folder / f"metrics/{decision['candidate']}.json")["test"]
    accuracy = front_matter(text)["model-index"][0]["results"][0]["metrics"][0]
    assert accuracy["value"] == test["accuracy"]
