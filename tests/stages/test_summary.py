"""What stage `summary` prints, from small files in the layout that a run leaves."""

import importlib.metadata
import subprocess
import sys

import pytest

from pipeline.core import candidates, params, paths
from pipeline.core.files import write_json
from pipeline.stages import summary
from tests.conftest import ROOT

REASON = "ImageNet weights unreachable, and none in the weights folder"
SPLIT = {"accuracy": 0.95412, "accuracy_low": 0.9498, "accuracy_high": 0.9580, "top3": 0.996, "nll": 0.1437}
SPLIT |= {"ece": 0.00701, "macro_f1": 0.954, "images": 10_000}
NAMES = [*params.architectures(), "ensemble"]
VERSIONS = {name: importlib.metadata.version(name) for name in summary.LIBRARIES}


@pytest.fixture
def files(tmp_path, monkeypatch):
    """Every architecture and the ensemble, with figures as wide as they get; resnet50v2 is skipped."""
    monkeypatch.chdir(tmp_path)
    write_json(paths.VOTE, {"architectures": NAMES[:-1], "weights": {"custom_cnn": 1.0}, "temperature": 1.0})
    sections = dict.fromkeys(("test", "validation", "test_without_duplicates"), SPLIT)
    for name in NAMES:
        cost = {"parameters": 25_000_000, "size_mb": 100.5}
        write_json(paths.METRICS / f"{name}.json", sections | {"cost": cost})
        evaluated = {"seconds_per_1000_images": 16.77, "spent": {"cpu_seconds": 1.0}}
        trained = {"train_seconds": 12_307.8, "train_cpu_seconds": 44_432.1, "versions": VERSIONS}
        if name == "ensemble":
            evaluated |= {key: trained[key] * 3 for key in ("train_seconds", "train_cpu_seconds")}
        else:
            write_json(paths.RECORDS / "train" / f"{name}.json", trained)
        write_json(paths.RECORDS / "evaluate" / f"{name}.json", evaluated)
    for path in (paths.METRICS, paths.RECORDS / "train", paths.RECORDS / "evaluate"):
        write_json(path / "resnet50v2.json", {"skipped": REASON})
    gate = {"promote": True, "reason": "no champion yet, within all limits"}
    decision = {"model": "cifar10-classifier", "candidate": "ensemble", "version": "1", "alias": "champion"}
    decision |= {"stage": "Production", "champion": "1", "decided_by": "validation accuracy", "gate": gate}
    write_json(paths.REGISTRY, decision)


@pytest.mark.usefixtures("files")
def test_the_table_fits_100_columns_with_the_figures_of_metrics_and_records():
    lines = summary.table(candidates.metrics()).splitlines()
    assert max(map(len, lines)) <= 100
    rows = {line.split()[0]: " ".join(line.split()[1:]) for line in lines}
    figures = "95.41 (94.98 to 95.80) 95.41 0.0070 16.8"
    assert rows["mobilenetv2"] == f"{figures} 12308 (44432)"
    assert rows["ensemble"] == f"{figures} 36923 (133296)"
    assert lines[-1] == f"resnet50v2 was skipped: {REASON}"


@pytest.mark.usefixtures("files")
def test_versions_that_are_installed_need_no_word():
    assert summary.outdated(NAMES) is None


@pytest.mark.usefixtures("files")
def test_other_versions_than_are_installed_are_one_line():
    for name in ("custom_cnn", "mobilenetv2"):
        write_json(paths.RECORDS / "train" / f"{name}.json", {"versions": VERSIONS | {"keras": "3.0.1", "jax": "0.1"}})
    write_json(paths.RECORDS / "train/efficientnetb0.json", {"versions": VERSIONS | {"numpy": "1.2"}})
    told = summary.outdated(NAMES)
    assert f": keras 3.0.1 (now {VERSIONS['keras']}): custom_cnn, mobilenetv2; numpy 1.2 (now " in told
    assert told.endswith(": efficientnetb0")
    assert "\n" not in told
    assert "jax" not in told


@pytest.mark.usefixtures("files")
def test_a_record_that_is_missing_or_names_no_versions_is_no_difference():
    (paths.RECORDS / "train/custom_cnn.json").unlink()
    write_json(paths.RECORDS / "train/mobilenetv2.json", {"train_seconds": 1.0})
    assert summary.outdated(NAMES) is None


@pytest.mark.usefixtures("files")
def test_the_outcome_ends_with_how_to_load_the_champion(run_stage):
    result = run_stage("summary")
    assert result.returncode == 0, result.stderr
    told = result.stdout.split("\n\n")[-1]
    assert told.startswith("best    ensemble, by validation accuracy: cifar10-classifier version 1, @champion, stage")
    assert "gate    promoted: no champion yet, within all limits" in told
    assert 'mlflow.pyfunc.load_model("models:/cifar10-classifier@champion")' in told


def test_neither_tensorflow_nor_keras_is_imported():
    code = "import sys, pipeline.stages.summary; print({'tensorflow', 'keras', 'mlflow'} & {*sys.modules})"
    assert subprocess.check_output([sys.executable, "-c", code], cwd=ROOT, text=True) == "set()\n"
