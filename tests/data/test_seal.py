"""The test labels choose nothing: who may read them, and when."""

import ast
import subprocess
import sys

import numpy as np
import pytest

from pipeline.core import paths
from pipeline.core.errors import UserError
from pipeline.data import splits
from tests.conftest import ROOT

CODE = [path for folder in ("pipeline", "benchmarks", "drills") for path in (ROOT / folder).rglob("*.py")]


@pytest.fixture(autouse=True)
def data(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for folder in (paths.TEST, paths.VALIDATION):
        splits.save(folder, np.zeros((3, 32, 32, 3), "uint8"), np.arange(3, dtype="uint8"))


def users_of(name: str) -> set[str]:
    """Modules in which a name or an attribute is mentioned, as `pipeline.stages.train`."""
    found = set()
    for path in CODE:
        for node in ast.walk(ast.parse(path.read_text())):
            if name in (getattr(node, "attr", None), getattr(node, "id", None), getattr(node, "value", None)):
                found.add(".".join(path.relative_to(ROOT).with_suffix("").parts))
    return found


def test_nobody_but_who_reports_mentions_the_test_set():
    makers = {"pipeline.stages.prepare"}  # writes it
    guards = {"pipeline.data.splits", "pipeline.core.paths"}
    without_labels = {"pipeline.stages.duplicates", "pipeline.reporting.page"}
    without_labels |= {"pipeline.stages.report", "pipeline.stages.track", "pipeline.tracking.view"}
    assert users_of("TEST") == splits.READERS | makers | guards | without_labels
    assert users_of("data/test") == {"pipeline.core.paths"}
    assert users_of("test_batch.bin") == {"pipeline.data.cifar10", "pipeline.data.sources", "pipeline.stages.prepare"}


@pytest.mark.parametrize("module", ["stages/duplicates", "reporting/page"])
def test_who_reads_images_only_asks_for_images_only(module):
    tree = ast.parse((ROOT / f"pipeline/{module}.py").read_text())
    used = {ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    assert "splits.images" in used
    assert not used & {"splits.load", "splits.labels"}


def test_another_program_is_refused_the_labels_and_gets_the_images():
    assert splits.images(paths.TEST).shape == (3, 32, 32, 3)
    assert splits.labels(paths.VALIDATION).tolist() == [0, 1, 2]
    for folder in (paths.TEST, paths.TEST.resolve()):
        with pytest.raises(UserError, match=r"sealed, and .+ may not read them"):
            splits.load(folder)


def run(module: str, folder) -> subprocess.CompletedProcess:
    """Read the test labels in a process that was started as that module."""
    path = folder / "program.py"
    path.write_text(
        "import sys, types\nfrom pipeline.core import errors, paths\nfrom pipeline.data import splits\n"
        f"sys.modules['__main__'].__spec__ = types.SimpleNamespace(name={module!r})\n"
        "errors.run(lambda: print(splits.labels(paths.TEST).tolist()))\n"
    )
    return subprocess.run([sys.executable, path], env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True)


@pytest.mark.fault("a training stage that asks for the test labels")
def test_a_training_stage_cannot_read_them(tmp_path):
    result = run("pipeline.stages.train", tmp_path)
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr.startswith("error: the test labels are sealed, and pipeline.stages.train may not read them")
    assert run("pipeline.stages.evaluate", tmp_path).stdout == "[0, 1, 2]\n"


@pytest.mark.fault("the ensemble that asks for the test labels before it has chosen")
def test_the_ensemble_reads_them_once_its_choice_is_written(tmp_path):
    result = run("pipeline.stages.ensemble", tmp_path)
    assert (
        result.stderr
        == "error: the test labels are sealed until ensemble/vote.json says what was chosen without them\n"
    )
    paths.VOTE.parent.mkdir()
    paths.VOTE.touch()
    assert run("pipeline.stages.ensemble", tmp_path).stdout == "[0, 1, 2]\n"
