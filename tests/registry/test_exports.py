"""Exports in MLflow: child runs and the alias `edge`, in a real SQLite store in a temporary folder."""

import json
import os
import subprocess
import sys
from pathlib import Path

import mlflow
import numpy as np
import pytest
from mlflow import MlflowClient
from mlflow.entities import Run

from pipeline.core import params, paths
from pipeline.core.files import write_json
from pipeline.export import parity
from pipeline.registry import exports, promotion, versions
from pipeline.stages import export
from pipeline.tracking import logged_models, runs
from tests import tiny
from tests.conftest import ROOT

MODEL = "cifar10-classifier"
FINGERPRINT = "f" * 64
NAMES = ("custom_cnn", "mobilenetv2")

pytestmark = pytest.mark.usefixtures("store")


@pytest.fixture
def parents(store) -> dict[str, Run]:
    """A run of each model, and what files say of it."""
    client, found = MlflowClient(), {}
    for name in NAMES:
        paths.EXPORT_CARDS.mkdir(parents=True, exist_ok=True)
        (paths.EXPORT_CARDS / f"{name}.md").write_text(
            "---\nlicense: unknown\n---\n# Model Card\n\n## Uses\n\nA test.\n"
        )
        write_json(paths.candidate(name) / "model.json", {"status": "trained", "fingerprint": FINGERPRINT})
        tags = {runs.STAGE: paths.stage(name), runs.FINGERPRINT: FINGERPRINT}
        experiment = mlflow.get_experiment_by_name("cifar10").experiment_id
        found[name] = client.create_run(experiment, run_name=name, tags=tags)
        client.set_terminated(found[name].info.run_id)
    return found


@pytest.fixture
def candidates(parents, tmp_path) -> dict[str, Run]:
    """The runs with a logged model each, as the stages before this one leave them."""
    tiny.keras_model(tmp_path / "model.keras")
    for run in parents.values():
        logged_models.log(run, tmp_path / "model.keras", np.zeros((2, 32, 32, 3), "uint8"))
    return parents


def row(shipped: bool, candidate: str = "custom_cnn", precision: str = "int8") -> dict:
    """Of paths.EXPORTED, and the file that it speaks of."""
    file = Path("exports", candidate, f"{precision}.tflite")
    if shipped:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"TFL3")
    judged = dict.fromkeys(parity.FIGURES, 0.5) | {"shipped": shipped, "reasons": [] if shipped else ["too large"]}
    about = {"role": "edge", "candidate": candidate, "format": "litert", "precision": precision}
    made = {"fingerprint": FINGERPRINT}
    return about | {"file": str(file) if shipped else None} | judged | made


def children(run) -> list:
    query = f"tags.`mlflow.parentRunId` = '{run.info.run_id}'"
    return MlflowClient().search_runs([run.info.experiment_id], query)


def test_a_variant_is_a_child_run_with_its_figures_verdict_and_file(parents):
    parent = parents["custom_cnn"]
    exports.log(row(True), parent)
    exports.log(row(False, precision="float16"), parent)
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
    exports.log(row(False) | parity.unmeasured("the converter refuses it"), parent)
    (child,) = children(parent)
    assert child.data.metrics == {}
    assert child.data.tags["reasons"] == "the converter refuses it"


def test_the_same_row_again_adds_nothing_and_another_replaces_the_child_and_no_other(parents):
    for name, parent in parents.items():
        exports.log(row(True, name), parent)
    (first,) = children(parents["custom_cnn"])
    assert exports.log(row(True), parents["custom_cnn"]) == first.info.run_id
    second = exports.log(row(True) | {"agreement": 0.6}, parents["custom_cnn"])
    assert [run.info.run_id for run in children(parents["custom_cnn"])] == [second]
    assert len(children(parents["mobilenetv2"])) == 1


def test_a_child_replaces_the_one_of_its_name_and_fails_with_what_cannot_be_logged(parents):
    parent = parents["custom_cnn"]
    whole, another = exports.log(row(True), parent), row(True) | {"agreement": 0.6}
    Path(another["file"]).unlink()
    with pytest.raises(OSError):
        exports.log(another, parent)
    (failed,) = children(parent)
    assert (failed.info.status, failed.data.metrics["agreement"]) == ("FAILED", 0.6)
    assert MlflowClient().get_run(whole).info.lifecycle_stage == "deleted"
    Path(another["file"]).touch()
    assert exports.log(another, parent) != failed.info.run_id
    (child,) = children(parent)
    assert child.info.status == "FINISHED"


@pytest.mark.fault("three experiments that export the same model at once")
def test_of_several_who_tell_of_the_same_model_at_once_the_last_ones_run_stays(parents):
    parent = parents["custom_cnn"]
    code = (
        "import json, sys\nfrom pipeline.core import errors, params\n"
        "from pipeline.registry import exports, versions\nfrom pipeline.tracking import runs, store\n"
        "def main():\n"
        "    store.connect(params.load())\n"
        "    for _ in range(5):\n"
        "        with versions.alone():\n"
        "            exports.log(json.loads(sys.argv[1]), runs.get(sys.argv[2]))\n"
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
    "test": dict.fromkeys(("accuracy", "accuracy_low", "accuracy_high"), 0.9),
    "cost": {"size_mb": 8.0},
}


def name_edge(shipped: bool) -> dict:
    """As the stage does for mobilenetv2, custom_cnn being the best candidate."""
    rows = [row(shipped, "mobilenetv2"), row(False) | {"role": "best"}]
    return exports.edge(rows, dict.fromkeys(NAMES, FIGURES), params.load())


def marks() -> tuple[dict[str, str], dict[str, str]]:
    """Stage by version, and version by alias."""
    client = MlflowClient()
    stages = {str(found.version): found.current_stage for found in client.search_model_versions(f"name = '{MODEL}'")}
    return stages, {alias: str(at) for alias, at in client.get_registered_model(MODEL).aliases.items()}


@pytest.fixture
def champion(candidates) -> str:
    """custom_cnn, registered and promoted as stage `promote` does."""
    address = logged_models.model_uri(candidates["custom_cnn"])
    version = versions.register(MODEL, address, "the best", {"candidate": "custom_cnn", versions.GATE: "better"})
    promotion.enter(MODEL, "promote", version, "better", promotion.settle(MODEL))
    return version


def test_the_edge_model_is_a_version_with_an_alias_and_champion_and_history_stay(candidates, champion):
    before = promotion.settle(MODEL).entries
    for _ in range(2):  # again adds no version
        made = name_edge(True)
    assert promotion.settle(MODEL).entries == before
    assert marks() == ({"1": "Production", "2": "None"}, {"champion": champion, "edge": made["version"]})
    version = versions.resolve(MODEL, "@edge")
    assert version.run_id == candidates["mobilenetv2"].info.run_id
    assert made["tags"] == version.tags
    assert len(version.tags) <= 6
    assert version.description.startswith(made["description"])
    assert "smallest model file (8.0 MB) of those within 0.03 of the best one's" in version.description


@pytest.mark.usefixtures("candidates")
def test_promotions_leave_the_edge_alias_where_it_is(champion):
    name_edge(True)
    promotion.enter(MODEL, "promote", "2", "by hand", promotion.settle(MODEL))
    assert marks()[1] == {"champion": "2", "edge": "2"}
    promotion.enter(MODEL, "refuse", "1", "a tie", promotion.settle(MODEL))
    promotion.rollback(MODEL, champion, "worse in use")
    assert marks() == ({"1": "Production", "2": "Archived"}, {"champion": "1", "edge": "2"})


def test_a_version_that_was_decided_on_keeps_its_description_and_tags(candidates, champion):
    made = {"model": MODEL, "candidate": "custom_cnn", "description": "the smallest", "tags": {"candidate": "another"}}
    assert exports.register(made) == champion
    version = versions.resolve(MODEL, "@edge")
    assert (version.description, version.tags["candidate"]) == ("the best", "custom_cnn")


@pytest.mark.usefixtures("candidates")
def test_nothing_shipped_leaves_the_alias_where_it_was(champion):
    made = name_edge(False)
    assert (made["version"], made["reason"]) == (None, "no variant of mobilenetv2 is within the limits")
    assert marks() == ({"1": "Production"}, {"champion": champion})
    name_edge(True)
    name_edge(False)
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
