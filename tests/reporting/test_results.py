"""What the README is given: the table of results, and the picture of the graph. It changes between its markers only."""

import json
import subprocess
from pathlib import Path

import pytest
import yaml

from pipeline.core import paths
from pipeline.core.errors import UserError
from pipeline.core.files import write_json
from pipeline.reporting import results, tables
from tests.conftest import ROOT
from tools import readme

FIGURES = {
    "validation": {"accuracy": 0.91},
    "test": {
        "accuracy": 0.9,
        "accuracy_low": 0.894,
        "accuracy_high": 0.9057,
        "top3": 0.99,
        "nll": 0.3,
        "ece": 0.01,
        "macro_f1": 0.9,
    },
    "test_without_duplicates": {"accuracy": 0.895},
    "cost": {
        "parameters": 1234567,
        "size_mb": 5.0,
        "seconds_per_1000_images": 2.5,
        "train_seconds": 600.4,
        "train_cpu_seconds": 1000.6,
    },
}


def test_a_row_has_the_figures_and_the_notebooks():
    row = results.rows({"custom_cnn": FIGURES})[0]
    assert row[:5] == ("custom_cnn", "90.00 (89.40 to 90.57)", "72.47", "89.50", "91.00")
    assert len(row) == len(results.HEADER)


def test_a_skipped_architecture_has_the_reason_and_no_figures():
    row = results.rows({"resnet50v2": {"skipped": "no weights"}})[0]
    assert row[:3] == ("resnet50v2", "skipped: no weights", "79.30")
    assert set(row[3:]) == {""}


def test_only_what_has_figures_is_compared(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_json(paths.VOTE, {"architectures": ["resnet50v2", "custom_cnn"]})
    for name in ("resnet50v2", "ensemble"):
        write_json(paths.METRICS / f"{name}.json", {"skipped": "no weights"})
    write_json(paths.METRICS / "custom_cnn.json", FIGURES)
    for stage in ("train", "evaluate"):
        write_json(paths.RECORDS / stage / "custom_cnn.json", FIGURES["cost"])
    (row,) = tables.comparison().to_dict("records")
    assert row == {
        "candidate": "custom_cnn",
        **{key: FIGURES["test"][key] for key in ("accuracy", "accuracy_low", "accuracy_high")},
        **{key: FIGURES["cost"][key] for key in ("seconds_per_1000_images", "size_mb", "train_seconds")},
        "notebook": 0.7247,
    }


def test_only_what_is_between_the_markers_changes(tmp_path):
    path = tmp_path / "README.md"
    path.write_text("before\n<!-- results -->\nold\n<!-- /results -->\nafter\n")
    assert readme.insert(path, "results", "| new |\n")
    assert path.read_text() == "before\n<!-- results -->\n| new |\n<!-- /results -->\nafter\n"
    assert not readme.insert(path, "results", "| new |\n")


def test_a_readme_without_the_markers_is_refused_and_stays(tmp_path):
    path = tmp_path / "README.md"
    path.write_text("<!-- results -->\n")
    with pytest.raises(UserError, match="needs the lines <!-- results --> and <!-- /results -->"):
        readme.insert(path, "results", "| new |\n")
    assert path.read_text() == "<!-- results -->\n"


def test_the_graph_is_drawn_without_an_arrow_that_a_longer_way_implies():
    stages = ['\tnode1["data"]', '\tnode2["train"]', '\tnode3["vote"]']
    arrows = ["\tnode1-->node2", "\tnode1-->node3", "\tnode2-->node3"]
    drawn = readme.drawing("\n".join(["flowchart TD", *stages, *arrows, ""]))
    assert drawn == "\n".join(["```mermaid", "flowchart TD", *stages, arrows[0], arrows[2], "```", ""])


def test_the_readme_has_the_graph_that_dvc_knows(monkeypatch):
    monkeypatch.chdir(ROOT)
    assert f"<!-- graph -->\n{readme.drawing(readme.dag())}<!-- /graph -->\n" in Path("README.md").read_text()


def test_the_committed_readme_has_the_table_that_the_command_writes():
    """Committed files, since a run in this clone may have left others; no results committed, no table."""

    between = committed("README.md").partition("<!-- results -->\n")[2].partition("<!-- /results -->")[0]
    if not committed("./").count("metrics/"):
        assert between == ""
        return
    names = [*yaml.safe_load(committed("params.yaml"))["models"], "ensemble"]
    # An architecture or a metric that was added since the committed run has no figures there.
    names = [name for name in names if committed_names(f"metrics/{name}.json")]
    figures = {name: json.loads(committed(f"metrics/{name}.json")) for name in names}
    for name, known in figures.items():
        for stage in ("train", "evaluate"):
            if "cost" in known and committed_names(f"records/{stage}/{name}.json"):
                record = json.loads(committed(f"records/{stage}/{name}.json"))
                known["cost"] |= {key: value for key, value in record.items() if isinstance(value, float)}
    assert committed("reports/results.md") == between
    shown, known = columns(between), columns(results.markdown(figures))
    assert shown.items() <= known.items(), "run `make readme` after a run, and commit both"
    assert not any(any(known[title]) for title in known.keys() - shown.keys())


def columns(table: str) -> dict[str, tuple[str, ...]]:
    """The cells of a table in Markdown by the title of their column."""
    lines = [[cell.strip() for cell in line[2:-2].split(" | ")] for line in table.splitlines()]
    return {title: tuple(cells) for title, _, *cells in zip(*lines, strict=True)}


def committed(name: str) -> str:
    """A committed file's text, or a folder's list of names."""
    command = ["git", "show", f"HEAD:{name}"]
    return subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout


def committed_names(path: str) -> list[str]:
    """The path, if it is committed."""
    command = ["git", "ls-tree", "--name-only", "HEAD", path]
    return subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.split()
