"""Every metric that is computed has a row in the table of metrics, and every row is computed."""

import numpy as np
import pytest

from pipeline.core import candidates
from pipeline.evaluation import metrics
from pipeline.reporting import catalog, results

TABLE = "the table of metrics, METRICS in pipeline/reporting/catalog.py"


def computed() -> set[str]:
    """The metrics of a split, as the evaluation computes them."""
    return set(metrics.score(np.full((4, 10), 0.1, "float32"), np.array([0, 1, 2, 3]), bins=15))


def listed(*sections: str) -> set[str]:
    return set().union(*(row.fields for row in catalog.METRICS if row.section in sections))


def complain(computed: set[str], listed: set[str], where: str) -> None:
    missing, idle = sorted(computed - listed), sorted(listed - computed)
    assert not missing, f"{where} computes {', '.join(missing)}: give each a row in {TABLE}"
    assert not idle, f"{TABLE}, shows {', '.join(idle)}, which nothing computes: compute it in {where}, or drop the row"


def test_what_is_computed_is_listed_and_what_is_listed_is_computed():
    complain(computed(), listed(*catalog.SPLITS), "`score` in pipeline/evaluation/metrics.py")


def test_costs_of_a_real_run_are_listed_and_those_listed_are_there(small, monkeypatch):
    monkeypatch.chdir(small.folder)
    for figures in candidates.scored().values():
        complain(set(figures["cost"]), listed("cost"), "stages evaluate and ensemble, or COSTS in core/candidates.py,")


def test_what_is_forgotten_is_named_with_what_to_do():
    with pytest.raises(AssertionError, match="score computes brier: give each a row in the table of metrics"):
        complain({"nll", "brier"}, {"nll"}, "score")
    with pytest.raises(AssertionError, match="shows nll, which nothing computes: compute it in score, or drop the row"):
        complain({"brier"}, {"nll", "brier"}, "score")


def test_every_row_is_shown_somewhere_and_once():
    assert all(row.places for row in catalog.METRICS)
    assert len({(row.section, row.key) for row in catalog.METRICS}) == len(catalog.METRICS)
    assert all(row.key in row.fields for row in catalog.METRICS)
    sections = {*catalog.SPLITS, "cost", "notebook"}
    assert {row.section for row in catalog.METRICS} <= sections


def test_a_row_more_is_in_the_table_without_another_edit(monkeypatch):
    row = catalog.Metric("test", "brier", "Brier score", "{brier:.3f}", catalog.RESULTS | catalog.TAGS)
    monkeypatch.setattr(catalog, "METRICS", (*catalog.METRICS, row))
    assert results.rows({"custom_cnn": {"test": {"brier": 0.1234}}})[0][-1] == "0.123"
    assert [found.tag for found in catalog.shown(catalog.TAGS)] == ["test_accuracy", "test_brier"]


def test_a_cell_has_the_figures_of_its_section_or_of_another_one():
    figures = {"test": {"top3": 0.99123}, "validation": {"top3": 0.5}}
    (row,) = (row for row in catalog.METRICS if row.key == "top3")
    assert (row.cell(figures), row.cell(figures, "validation"), row.cell({})) == ("99.12", "50.00", "")
