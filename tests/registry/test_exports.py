"""Exports in MLflow: child runs and the alias `edge`, in a real SQLite store in a temporary folder."""

import json
import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from mlflow import MlflowClient

from pipeline.export import parity, publish
from pipeline.layers import wrappers
from pipeline.registry import promotion, versions
from pipeline.stages import export
from pipeline.tracking import logged_models, runs
from tests.conftest import ROOT

MODEL = "cifar10-classifier"
FINGERPRINT = "f" * 64

pytestmark = pytest.mark.usefixtures("store")


@pytest.fixture(autouse=True)
def _cards(store) -> None:
    """As stage `export` leaves them."""
    for name in ("custom_cnn", "mobilenetv2"):
        publish.card_of(name).parent.mkdir(parents=True)
        publish.card_of(name).write_text("---\nlicense: unknown\n---\n# Model Card\n\n## Uses\n\nA test.\n")


@pytest.fixture
def parents() -> dict:
    """A run of each model."""
    made = {}
    for name in ("custom_cnn", "mobilenetv2"):
        with runs.start(name, {"model.fingerprint": FINGERPRINT}) as run:
            pass
        made[name] = run
    return made


@pytest.fixture
def candidates(parents) -> dict:
    """The runs with a logged model each, as the stages before this one leave them."""
    inputs = keras.Input((32, 32, 3), dtype="uint8", name="images")
    pooled = keras.layers.GlobalAveragePooling2D()(keras.layers.Rescaling(1 / 255)(inputs))
    model = wrappers.calibrated(keras.Model(inputs, keras.layers.Dense(10)(pooled)), 1.0, "served")
    for run in parents.values():
        with runs.resume(run.info.run_id, "train"):
            logged_models.log_model(model, np.zeros((2, 32, 32, 3), "uint8"))
    return {name: runs.find(run.info.run_id) for name, run in parents.items()}


def row(shipped: bool, candidate: str = "custom_cnn", precision: str = "int8") -> dict:
    """Of paths.EXPORTED, and the file that it speaks of."""
    file = Path("exports", candidate, f"{precision}.tflite")
    if shipped:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"TFL3")
    judged = dict.fromkeys(parity.FIGURES, 0.5) | {"shipped": shipped, "reasons": [] if shipped else ["too large"]}
    about = {"role": "edge", "candidate": candidate, "format": "litert", "precision": precision}
    made = {"fingerprint": FINGERPRINT, "git.commit": "none", "git.changed": "false"}
    return about | {"file": str(file) if shipped else None} | judged | made


def children(run) -> list:
    query = f"tags.`mlflow.parentRunId` = '{run.info.run_id}'"
    return MlflowClient().search_runs([run.info.experiment_id], query)


def test_a_variant_is_a_child_run_with_its_figures_verdict_and_file(parents):
    parent = parents["custom_cnn"]
    publish.log(row(True), parent.info.run_id)
    publish.log(row(False, precision="float16"), parent.info.run_id)
    shipped, refused = sorted(children(parent), key=lambda run: run.info.run_name, reverse=True)
    assert (shipped.info.run_name, shipped.info.status) == ("export-litert-int8", "FINISHED")
    assert shipped.data.params == {"candidate": "custom_cnn", "format": "litert", "precision": "int8"}
    assert shipped.data.metrics == dict.fromkeys(parity.FIGURES, 0.5)
    assert (shipped.data.tags["shipped"], shipped.data.tags["reasons"]) == ("true", "within all limits")
    assert (refused.data.tags["shipped"], refused.data.tags["reasons"]) == ("false", "too large")
    listed = [[file.path for file in MlflowClient().list_artifacts(run.info.run_id)] for run in (shipped, refused)]
    assert listed == [["int8.tflite"], []]


def test_what_could_not_be_measured_has_no_figures(parents):
    parent = parents["custom_cnn"]
    publish.log(row(False) | parity.unmeasured("the converter refuses it"), parent.info.run_id)
    (child,) = children(parent)
    assert child.data.metrics == {}
    assert child.data.tags["reasons"] == "the converter refuses it"


def test_telling_again_replaces_the_child_and_no_other(parents):
    for name, parent in parents.items():
        publish.log(row(True, name), parent.info.run_id)
    second = publish.log(row(True), parents["custom_cnn"].info.run_id)
    assert [run.info.run_id for run in children(parents["custom_cnn"])] == [second]
    assert len(children(parents["mobilenetv2"])) == 1


@pytest.mark.fault("three experiments that export the same model at once")
def test_of_several_who_tell_of_the_same_model_at_once_the_last_ones_run_stays(parents):
    parent = parents["custom_cnn"]
    code = (
        "import json, sys\nfrom pipeline.core import errors, params\n"
        "from pipeline.export import publish\nfrom pipeline.registry import versions\n"
        "from pipeline.tracking import store\n"
        "def main():\n"
        "    store.connect(params.load())\n"
        "    for _ in range(5):\n"
        "        with versions.alone():\n"
        "            publish.log(json.loads(sys.argv[1]), sys.argv[2])\n"
        "errors.run(main)\n"
    )
    command = [sys.executable, "-c", code, json.dumps(row(True)), parent.info.run_id]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    processes = [subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) for _ in range(3)]
    told = [process.communicate()[1] for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0], told
    (child,) = children(parent)
    assert child.info.status == "FINISHED"
    assert [file.path for file in MlflowClient().list_artifacts(child.info.run_id)] == ["int8.tflite"]


FIGURES = {
    "validation": {"accuracy": 0.93, "nll": 0.2},
    "test": dict.fromkeys((*versions.TESTED, "accuracy_low", "accuracy_high"), 0.9),
    "cost": {"size_mb": 8.0},
}


def name_edge(candidates, checked, shipped: bool) -> dict:
    """As the stage does for mobilenetv2, custom_cnn being the best candidate."""
    metrics = dict.fromkeys(candidates, FIGURES)
    receipt = {"tags": {logged_models.FINGERPRINT: FINGERPRINT, logged_models.VALIDATION: "0" * 64}}
    rows = [row(shipped, "mobilenetv2")]
    run = candidates["mobilenetv2"]
    return export.name_edge("mobilenetv2", "custom_cnn", rows, metrics, receipt, run, checked)


def marks() -> tuple[dict[str, str], dict[str, str]]:
    """Stage by version, and version by alias."""
    client = MlflowClient()
    stages = {str(found.version): found.current_stage for found in client.search_model_versions(f"name = '{MODEL}'")}
    return stages, {alias: str(at) for alias, at in client.get_registered_model(MODEL).aliases.items()}


@pytest.fixture
def champion(candidates) -> str:
    """custom_cnn, registered and promoted as stage `promote` does."""
    address = logged_models.model_uri(candidates["custom_cnn"])
    version = versions.register(MODEL, address, "the best", {"candidate": "custom_cnn", versions.DECIDED: "better"})
    promotion.promote(MODEL, version, "better", promotion.history(MODEL))
    return version


def test_the_edge_model_is_a_version_with_an_alias_and_champion_and_history_stay(candidates, checked, champion):
    before = promotion.history(MODEL)
    for _ in range(2):  # again adds no version
        told = name_edge(candidates, checked, True)
    assert promotion.history(MODEL) == before
    assert marks() == ({"1": "Production", "2": "None"}, {"champion": champion, "edge": told["version"]})
    version = versions.resolve(MODEL, "@edge")
    assert version.tags["run_id"] == version.run_id == candidates["mobilenetv2"].info.run_id
    assert version.tags["edge.shipped"] == "litert int8"
    assert told["tags"].items() <= version.tags.items()
    assert version.description.startswith(told["description"])
    assert "smallest model file (8.0 MB) of those within 0.03 of the best one's" in version.description


def test_promotions_leave_the_edge_alias_where_it_is(candidates, checked, champion):
    name_edge(candidates, checked, True)
    promotion.promote(MODEL, "2", "by hand", promotion.history(MODEL))
    assert marks()[1] == {"champion": "2", "edge": "2"}
    promotion.refuse(MODEL, "1", "a tie", promotion.history(MODEL))
    promotion.rollback(MODEL, champion, "worse in use")
    assert marks() == ({"1": "Production", "2": "Archived"}, {"champion": "1", "edge": "2"})


def test_a_version_that_was_decided_on_keeps_what_was_said_of_it(candidates, checked, champion):
    tags = {"candidate": "another", "edge.reason": "smallest"}
    assert versions.edge(MODEL, logged_models.model_uri(candidates["custom_cnn"]), "the smallest", tags) == champion
    version = versions.resolve(MODEL, "@edge")
    assert (version.description, version.tags["candidate"]) == ("the best", "custom_cnn")
    assert version.tags["edge.reason"] == "smallest"


def test_nothing_shipped_leaves_the_alias_where_it_was(candidates, checked, champion):
    told = name_edge(candidates, checked, False)
    assert (told["version"], told["reason"]) == (None, "no variant of mobilenetv2 is within the limits")
    assert marks() == ({"1": "Production"}, {"champion": champion})
    name_edge(candidates, checked, True)
    name_edge(candidates, checked, False)
    assert marks()[1] == {"champion": champion, "edge": "2"}


def sized(accuracy: float, size_mb: float) -> dict:
    return {"validation": {"accuracy": accuracy}, "cost": {"size_mb": size_mb}}


def test_the_edge_model_is_the_smallest_within_the_margin():
    metrics = {
        "custom_cnn": sized(0.9, 8.0),
        "mobilenetv2": sized(0.9258, 9.3),
        "efficientnet_lite0": sized(0.9356, 13.8),
        "ensemble": sized(0.9558, 31.1),
    }
    assert export.smallest(metrics, "ensemble", 0.03) == "mobilenetv2"
    assert export.smallest(metrics, "ensemble", 0.029) == "efficientnet_lite0"
    assert export.smallest(metrics, "ensemble", 0.06) == "custom_cnn"
    assert export.smallest(metrics, "ensemble", 0.0) == "ensemble"


def test_restoring_tells_what_the_store_lacks_and_nothing_twice(candidates, checked, champion):
    told = name_edge(candidates, checked, True)
    rows = [row(True, "mobilenetv2") | {"run_id": "0" * 32}, row(False, "custom_cnn") | {"run_id": "1" * 32}]
    client = MlflowClient()
    client.delete_registered_model_alias(MODEL, "edge")
    client.delete_model_version(MODEL, "2")
    trained = {name: {"run_id": run.info.run_id, "fingerprint": FINGERPRINT} for name, run in candidates.items()}
    for verb in ("restored", "is there"):
        lines = list(publish.restore(rows, told, trained))
        assert [verb in line for line in lines] == [True] * 3
    (child,) = children(candidates["mobilenetv2"])
    assert child.data.tags["restored.from"] == "0" * 32
    assert marks()[1]["edge"] == "3"
    assert versions.resolve(MODEL, "@edge").tags["restored.version"] == "2"

    trained["mobilenetv2"]["fingerprint"] = "another"
    assert list(publish.restore(rows, told, trained)) == [
        "exports: of another model mobilenetv2 than the files: `dvc repro` makes them"
    ]


@pytest.mark.fault("a restoration of exports that is killed half-way")
def test_a_child_run_that_was_half_restored_is_told_anew(candidates, checked, champion):
    told = name_edge(candidates, checked, True)
    rows = [row(True, "mobilenetv2") | {"run_id": "0" * 32}]
    trained = {name: {"run_id": run.info.run_id, "fingerprint": FINGERPRINT} for name, run in candidates.items()}
    Path(rows[0]["file"]).unlink()
    with pytest.raises(FileNotFoundError):
        list(publish.restore(rows, told, trained))
    row(True, "mobilenetv2")
    assert "restored" in next(publish.restore(rows, told, trained))
    (child,) = children(candidates["mobilenetv2"])
    assert child.info.status == "FINISHED"
