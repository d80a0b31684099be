"""MLflow's own pages of a real run, in Chromium: what a user finds there. Screenshots stay in .artifacts."""

import json

import pytest
from playwright.sync_api import Page, expect

from docs import screenshot
from tests.conftest import ROOT

MODEL = "cifar10-classifier"
PICTURES = ROOT / ".artifacts" / "mlflow"  # git ignores it; CI keeps it
WITHOUT_USERS = "/ajax-api/2.0/mlflow/users/current"  # MLflow's pages ask, and a server without a login answers 404
PATIENCE = 20_000  # ms for a page to show something


@pytest.fixture(scope="module")
def ui(small):
    with screenshot.showing(small.folder / "mlruns") as address:
        yield address


@pytest.fixture(scope="module")
def runs(small) -> dict[str, tuple[str, dict[str, float]]]:
    """Id and metrics of each run, by its name."""
    experiment = small.client.get_experiment_by_name("cifar10").experiment_id
    found = small.client.search_runs([experiment])
    return {run.info.run_name: (run.info.run_id, run.data.metrics) for run in found}


@pytest.fixture
def look(ui, small, browser):
    """Open a page of MLflow and hand it out; nothing may have gone wrong in it, nor been asked of another server."""
    pages, wrong = [], []

    def opened(address: str) -> Page:
        experiment = small.client.get_experiment_by_name("cifar10").experiment_id
        page = screenshot.opened(browser, "about:blank")
        page.set_default_timeout(PATIENCE)
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("response", lambda answer: wrong.append(answer.url) if answer.status >= 400 else None)
        page.on(
            "request",
            lambda asked: wrong.append(asked.url) if not asked.url.startswith((ui, "data:", "blob:")) else None,
        )
        page.on("console", lambda said: wrong.append(said.text) if said.type == "error" else None)
        page.goto(f"{ui}/#/{address.format(experiment=experiment)}")
        pages.append(page)
        return page

    yield opened
    for page in pages:
        page.close()
    known = f"{ui}{WITHOUT_USERS}"
    refused = "Failed to load resource"  # what the console says of it, without its address, which `response` has
    assert [line for line in wrong if line != known and not line.startswith(refused)] == []


def keep(page: Page, name: str) -> None:
    PICTURES.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=PICTURES / f"{name}.png")


def shows(page: Page, *texts: str) -> None:
    for text in texts:
        expect(page.get_by_text(text).filter(visible=True).first).to_be_visible(timeout=PATIENCE)


def test_the_runs_are_listed(look):
    page = look("experiments/{experiment}/runs")
    shows(page, "Training runs", "custom_cnn", "ensemble")
    keep(page, "runs")


def test_the_runs_are_side_by_side_as_charts(look):
    page = look(screenshot.CHARTS.format("{experiment}").removeprefix("#/"))
    shows(page, "custom_cnn", "ensemble", "accuracy", "learning_rate", "loss")
    keep(page, "charts")


def test_two_runs_can_be_compared(look, runs):
    ids = [runs[name][0] for name in ("custom_cnn", "ensemble")]
    page = look(f'compare-runs?runs={json.dumps(ids)}&experiments=["{{experiment}}"]')
    shows(page, "Comparing 2 Runs from 1 Experiment", "custom_cnn", "ensemble")
    keep(page, "compare")
    page.get_by_text("learning_rate", exact=True).first.scroll_into_view_if_needed()
    shows(page, "training.learning_rate", "epoch_seconds", f"{runs['custom_cnn'][1]['loss']:.3f}")
    keep(page, "compare-metrics")


def test_a_run_has_its_metrics_and_its_pictures(look, runs):
    run_id, metrics = runs["custom_cnn"]
    page = look(f"experiments/{{experiment}}/runs/{run_id}")
    shows(page, "custom_cnn", "Metrics (", "epoch_seconds", str(metrics["accuracy"]))
    keep(page, "run")
    page = look(f"experiments/{{experiment}}/runs/{run_id}/artifacts/confusion.png")
    picture = page.locator("img[src^='blob:'], img[src*='get-artifact']").first
    expect(picture).to_be_visible(timeout=PATIENCE)
    assert picture.evaluate("image => image.naturalWidth") > 300  # pixels
    keep(page, "artifact")


def test_the_registered_model_has_its_champion(look):
    page = look(f"models/{MODEL}")
    shows(page, MODEL, "Version 1", "champion")
    keep(page, "model")


def test_the_version_says_why_it_is_champion_and_has_its_stage(look):
    page = look(f"models/{MODEL}/versions/1")
    shows(page, "champion", "Production", "no champion yet, within all limits")
    keep(page, "version")
