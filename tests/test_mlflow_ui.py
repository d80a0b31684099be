"""MLflow's own pages of a real run, in Chromium: what a user finds there. Screenshots stay in .artifacts/mlflow."""

import contextlib
import json
from collections.abc import Iterator

import pytest
from mlflow.entities import Run
from playwright.sync_api import expect

from tests.browser import Visit
from tools import screenshot

MODEL = "cifar10-classifier"
PATIENCE = 60_000  # ms for a page to show something
# Of MLflow's own making: it asks who is there, and a server without a login answers 404; and what its tables and
# charts say about themselves.
KNOWN = (
    "/ajax-api/2.0/mlflow/users/current: 404",
    "404 (Not Found)",
    "AG Grid:",
    "GL Driver Message",
    "ResizeObserver",
)


@pytest.fixture(scope="module")
def ui(small):
    with screenshot.showing(small.folder / "mlruns") as address:
        yield address


@pytest.fixture(scope="module")
def runs(small) -> dict[str, Run]:
    """The runs by their names."""
    experiment = small.client.get_experiment_by_name("cifar10").experiment_id
    return {run.info.run_name: run for run in small.client.search_runs([experiment])}


@pytest.fixture
def look(ui, browser):
    """Open a page of MLflow in which nothing goes wrong, and which asks no other server for anything."""

    @contextlib.contextmanager
    def opened(place: str) -> Iterator[Visit]:
        with screenshot.opened(browser, ui, place) as seen:
            yield seen
            assert [line for line in seen.complaints if not any(known in line for known in KNOWN)] == []
            assert [asked for asked in seen.asked if not asked.startswith((ui, "data:", "blob:"))] == []

    return opened


def shows(seen: Visit, *texts: str) -> None:
    for text in texts:
        expect(seen.page.get_by_text(text).filter(visible=True).first).to_be_visible(timeout=PATIENCE)


def test_the_runs_are_listed(look, runs):
    with look(f"experiments/{runs['ensemble'].info.experiment_id}/runs") as seen:
        shows(seen, "Training runs", "custom_cnn", "ensemble")
        seen.keep("mlflow/runs", full=False)


def test_the_runs_are_side_by_side_as_charts(look, runs):
    with look(screenshot.CHARTS.format(runs["ensemble"].info.experiment_id)) as seen:
        shows(seen, "custom_cnn", "ensemble", "accuracy", "learning_rate", "loss")
        seen.keep("mlflow/charts", full=False)


def test_two_runs_can_be_compared(look, runs):
    ids = json.dumps([runs[name].info.run_id for name in ("custom_cnn", "ensemble")])
    with look(f'compare-runs?runs={ids}&experiments=["{runs["ensemble"].info.experiment_id}"]') as seen:
        shows(seen, "Comparing 2 Runs from 1 Experiment", "custom_cnn", "ensemble")
        seen.keep("mlflow/compare", full=False)
        rate = seen.page.get_by_text("learning_rate", exact=True).first
        rate.scroll_into_view_if_needed()
        shows(seen, "training.learning_rate", f"{runs['custom_cnn'].data.metrics['loss']:.3f}")
        rate.hover()
        for _ in range(50):  # only the rows in view are in the page
            if seen.page.get_by_text("test_accuracy").count():
                break
            seen.page.mouse.wheel(0, 200)
            seen.page.wait_for_timeout(200)
        shows(seen, "test_accuracy")
        seen.keep("mlflow/compare-metrics", full=False)


def test_a_run_has_its_metrics(look, runs):
    run = runs["custom_cnn"]
    with look(f"experiments/{run.info.experiment_id}/runs/{run.info.run_id}") as seen:
        shows(
            seen,
            "custom_cnn",
            "Metrics (",
            "val_accuracy",
            str(run.data.metrics["accuracy"]),
            "cifar10-train",
        )
        seen.keep("mlflow/run", full=False)


def test_a_run_has_its_pictures(look, runs):
    run = runs["custom_cnn"]
    with look(f"experiments/{run.info.experiment_id}/runs/{run.info.run_id}/artifacts/confusion.png") as seen:
        picture = seen.page.locator("img[src^='blob:'], img[src*='get-artifact']").first
        expect(picture).to_be_visible(timeout=PATIENCE)
        assert picture.evaluate("image => image.naturalWidth") > 300  # pixels
        seen.keep("mlflow/artifact", full=False)


def test_the_registered_model_has_its_champion(look):
    with look(f"models/{MODEL}") as seen:
        shows(seen, MODEL, "Version 1", "champion")
        seen.keep("mlflow/model", full=False)


def test_the_version_says_why_it_is_champion_and_has_its_stage(look):
    with look(f"models/{MODEL}/versions/1") as seen:
        shows(seen, "champion", "Production", "no champion yet, within all limits")
        seen.keep("mlflow/version", full=False)
