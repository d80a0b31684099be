"""dvc.yaml names the code that decides the bytes of a stage's outputs, and nothing else."""

import ast
import re
from pathlib import Path

import pytest
import yaml
from dvc.repo import Repo

from tests.conftest import ROOT

STAGES = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
ALWAYS = {name for name, stage in STAGES.items() if stage.get("do", stage).get("always_changed")}
# What decides no byte of a result: it hands on what files have, refuses it, or speaks of it.
QUIET = (
    "pipeline/core",
    "pipeline/tracking",
    "pipeline/data/download.py",
    "pipeline/data/archive.py",
    "pipeline/data/local.py",  # what it reads is known by checksums, as what the others get
    "pipeline/data/manifest.py",
    "pipeline/data/parquet.py",
    "pipeline/data/pickle_batch.py",
    "pipeline/data/sources.py",
    "pipeline/data/splits.py",
    "pipeline/data/weights.py",
    "pipeline/formats/hdf5.py",
    "pipeline/formats/keras_archive.py",
    "pipeline/stages/__init__.py",
    "pipeline/stages/__main__.py",
)
DECIDING = {"keras", "tensorflow", "scipy", "jax", "sklearn"}


def modules_of(stage: str) -> list[Path]:
    """The modules that a stage runs."""
    found = re.findall(r"python -m pipeline.stages (\w+)", STAGES[stage].get("do", STAGES[stage])["cmd"])
    return [Path(f"pipeline/stages/{name}.py") for name in found]


def parsed(path: Path) -> ast.Module:
    return ast.parse((ROOT / path).read_text())


def names(path: Path) -> set[str]:
    """What a module imports, at its top or inside its functions."""
    found = set()
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        if isinstance(node, ast.ImportFrom):
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def imported(path: Path) -> set[Path]:
    """The project's modules that a module imports, the packages that they lie in, and the templates that it names."""
    if path.suffix != ".py":
        return set()
    files = [Path(name.replace(".", "/")) for name in names(path)]
    files += [parent for file in files for parent in file.parents]
    files = [file.with_suffix(".py") for file in files if file.name] + [file / "__init__.py" for file in files]
    named = {node.value for node in ast.walk(parsed(path)) if isinstance(node, ast.Constant)}
    files += [file.relative_to(ROOT) for file in (ROOT / path.parent / "templates").glob("*") if file.name in named]
    return {file for file in files if file.parts[0] == "pipeline" and (ROOT / file).is_file()}


def is_quiet(path: Path) -> bool:
    if path.name == "__init__.py" and len(parsed(path).body) == 1:  # a docstring
        return True
    return any(path.is_relative_to(quiet) for quiet in QUIET)


def closure(path: Path) -> set[Path]:
    """The module and all that it imports, but for quiet modules and what these import."""
    seen, waiting = set(), [path]
    while waiting:
        path = waiting.pop()
        if path not in seen and not is_quiet(path):
            seen.add(path)
            waiting += imported(path)
    return seen


@pytest.mark.parametrize("stage", sorted(STAGES.keys() - ALWAYS))
def test_the_deps_are_the_imports_that_are_not_quiet(stage):
    definition = STAGES[stage].get("do", STAGES[stage])
    deps = {Path(dep) for dep in definition["deps"] if dep.startswith("pipeline/")}
    modules = set().union(*(closure(module) for module in modules_of(stage)))
    if Path("pipeline/models/__init__.py") in modules:  # which imports the one module that it is asked for
        networks = sorted(path.relative_to(ROOT) for path in (ROOT / "pipeline/models").glob("[a-z]*.py"))
        modules |= {Path("pipeline/models/${key}.py")}
        modules |= set().union(*(closure(network) - {network} for network in networks))
        modules -= {Path("pipeline/models/__init__.py")}  # which decides nothing itself
    if stage in ("download", "weights"):
        modules -= {Path(f"pipeline/stages/{stage}.py")}  # checksums decide its bytes
    modules -= {Path("pipeline/__init__.py")} - deps  # what TensorFlow reads reaches the others through trunk and model
    missing = {module for module in modules if not any(module.is_relative_to(dep) for dep in deps)}
    unreached = {dep for dep in deps if not any(module.is_relative_to(dep) for module in modules)}
    assert not missing, f"list {sorted(map(str, missing))} in the deps of {stage} in dvc.yaml, or in QUIET"
    assert not unreached, f"{stage} imports nothing of {sorted(map(str, unreached))}: take it out of its deps"


def test_quiet_modules_import_nothing_that_could_decide_a_result():
    paths = [path.relative_to(ROOT) for path in (ROOT / "pipeline").rglob("*.py")]
    for path in filter(is_quiet, paths):
        assert not {name.partition(".")[0] for name in names(path)} & DECIDING, path
        others = imported(path) - {Path("pipeline/__init__.py"), Path("pipeline/data/cifar10.py")}  # checksums
        assert all(map(is_quiet, others)), path


def test_every_stage_has_a_module_and_every_module_a_stage():
    modules = {path.relative_to(ROOT) for path in (ROOT / "pipeline/stages").glob("[a-z]*.py")}
    assert modules == {module for stage in STAGES for module in modules_of(stage)}


def test_only_find_and_summary_run_when_nothing_changed():
    assert {"find", "summary"} == ALWAYS


def test_only_tracking_the_registry_and_their_lineage_speak_to_mlflow():
    modules = (ROOT / "pipeline").rglob("*.py")
    importers = {path.parent.name for path in modules if any(name.startswith("mlflow") for name in names(path))}
    assert importers == {"lineage", "registry", "tracking"}


def test_a_folder_has_at_most_a_dozen_modules():
    entries = ("stages", "cli")  # a module for each stage and each command
    for folder in (path for path in (ROOT / "pipeline").rglob("*") if path.is_dir() and path.name not in entries):
        modules = [path.name for path in folder.glob("[a-z]*.py")]
        assert len(modules) <= 12, f"{folder.relative_to(ROOT)} has {len(modules)}: {', '.join(sorted(modules))}"


def stale(names: tuple[str, ...]) -> set[str]:
    """The stages of these kinds that `dvc status` names, but for what needs no code to be named."""
    with Repo() as repo:
        return {stage for stage in repo.status() if stage.startswith(names)}


def test_an_edit_of_code_that_decides_no_byte_trains_and_evaluates_nothing_again(inside):
    kinds = ("trunk@", "train@", "evaluate@")
    modules = [path for path in Path("pipeline").rglob("*.py") if is_quiet(path) and path.read_text().count("\n") > 1]
    for package in ("registry", "serving", "reporting", "cli", "recovery", "lineage", "tracking"):
        modules += Path("pipeline", package).rglob("*.py")
    before = {path: path.read_text() for path in {*modules, Path("pipeline/training/fit.py")}}
    known = stale(kinds)
    try:
        for path in modules:
            path.write_text(before[path] + "# a comment\n")
        assert stale(kinds) == known == set()
        Path("pipeline/training/fit.py").write_text(before[Path("pipeline/training/fit.py")] + "# a comment\n")
        assert stale(kinds) == {"train@custom_cnn"}
    finally:
        for path, text in before.items():
            path.write_text(text)
