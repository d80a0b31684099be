"""dvc.yaml tells the truth about what each stage depends on."""

import ast
from pathlib import Path

import pytest
import yaml

from tests.conftest import ROOT

STAGES = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]


def imported(path: Path) -> set[Path]:
    """The project's modules that a module imports, at its top or inside its functions."""
    names = set()
    for node in ast.walk(ast.parse((ROOT / path).read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        if isinstance(node, ast.ImportFrom):
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    files = [Path(name.replace(".", "/")) for name in names]
    files = [file.with_suffix(".py") for file in files] + [file / "__init__.py" for file in files]
    return {file for file in files if file.parts[0] == "pipeline" and (ROOT / file).is_file()}


def closure(path: Path) -> set[Path]:
    seen, waiting = set(), [path]
    while waiting:
        path = waiting.pop()
        if path not in seen:
            seen.add(path)
            waiting += imported(path)
    return seen


@pytest.mark.parametrize("stage", STAGES)
def test_the_deps_equal_the_imports(stage):
    definition = STAGES[stage].get("do", STAGES[stage])
    code = {dep for dep in definition["deps"] if dep.endswith(".py")}
    modules = {str(path) for path in closure(Path(f"pipeline/stages/{stage}.py"))}
    if "pipeline/architectures/__init__.py" in modules:  # which imports the one module that it is asked for
        networks = sorted(Path("pipeline/architectures").glob("[a-z]*.py"))
        helpers = set().union(*(imported(network) for network in networks))
        modules |= {"pipeline/architectures/${key}.py"} | {str(path) for path in helpers}
    assert code == modules


def test_the_page_depends_on_its_templates():
    assert {f"pipeline/templates/report.{kind}" for kind in ("html", "css")} <= set(STAGES["page"]["deps"])


def test_every_stage_has_a_module_and_every_module_a_stage():
    modules = {path.stem for path in (ROOT / "pipeline/stages").glob("*.py")} - {"__init__"}
    assert modules == set(STAGES)


def test_only_find_and_summary_run_when_nothing_changed():
    always = {name for name, stage in STAGES.items() if stage.get("do", stage).get("always_changed")}
    assert always == {"find", "summary"}


def test_only_what_talks_to_mlflow_imports_it():
    importers = set()
    for path in (ROOT / "pipeline").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module] if isinstance(node, ast.ImportFrom) else []
            importers |= {path.stem for name in names if name.partition(".")[0] == "mlflow"}
    assert importers == {"tracking", "runs", "registry", "promotion", "journal", "logged"}
