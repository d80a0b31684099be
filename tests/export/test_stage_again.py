"""Stages `export` and `publish` after the graph was run: again, and with limits that nothing is within."""

from pathlib import Path

import pytest
import yaml

from pipeline.core.files import read_json
from tests.tampering import MODEL, kept, run_id

pytestmark = pytest.mark.slow


@pytest.fixture
def exported(small, inside):
    with kept("params.yaml", "reports/exports.json", "reports/edge.json", *map(str, Path("reports/exports").iterdir())):
        yield small
    assert small.dvc("checkout", "--force", "exports").returncode == 0


@pytest.fixture
def run(exported, run_stage):
    def again(**limits) -> str:
        path = Path("params.yaml")
        tree = yaml.safe_load(path.read_text())
        tree["export"]["limits"] |= limits
        path.write_text(yaml.safe_dump(tree, sort_keys=False))
        # Another backend than LiteRT's is no matter.
        results = [run_stage(stage, cwd=exported.folder, KERAS_BACKEND="jax") for stage in ("export", "publish")]
        assert [result.returncode for result in results] == [0, 0], results[-1].stderr
        return "".join(result.stdout for result in results)

    return again


def test_again_adds_nothing_and_what_is_outside_the_limits_is_not_shipped(exported, run):
    rows, edge = read_json(Path("reports/exports.json")), read_json(Path("reports/edge.json"))
    before = exported.exports(run_id("custom_cnn"))
    versions = len(exported.client.search_model_versions(f"name = '{MODEL}'"))
    told = run(size_mb=0.001)
    after = exported.exports(run_id("custom_cnn"))
    assert set(after) == set(before)
    assert not {found.info.run_id for found in after.values()} & {found.info.run_id for found in before.values()}
    assert len(exported.client.search_model_versions(f"name = '{MODEL}'")) == versions

    refused = read_json(Path("reports/exports.json"))
    assert [(row["shipped"], row["file"]) for row in refused] == [(False, None)] * len(rows)
    for row in refused:
        assert f"size_mb is {row['size_mb']:.4g}, limit 0.001" in row["reasons"]
        assert f"{row['precision']}: " in told
    assert told.count("not shipped: ") == len(rows)
    assert not list(Path("exports").rglob("*.*"))
    assert f"@edge stays where it was: no variant of {edge['candidate']} is within the limits" in told
    alias = exported.client.get_model_version_by_alias(MODEL, "edge")
    assert str(alias.version) == edge["version"]
    for key in ("agreement", "accuracy", "keras_accuracy", "images"):
        assert [row[key] for row in refused] == [row[key] for row in rows]
