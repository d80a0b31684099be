"""The report's page: what it says, that it needs nothing else, and how it looks in a browser."""

import html.parser
import itertools
import re
import shutil
from pathlib import Path

import pandas as pd
import pytest

from pipeline.core import paths
from pipeline.data import splits
from pipeline.reporting import charts, page
from tests.browser import visit
from tests.conftest import ROOT
from tests.reporting import guesses

SECTIONS = ["Results", "Paired tests", "Accuracy and cost", "Curves", "Confusion matrices", "Classes", "Reliability"]
SECTIONS += ["Where the ensemble helps", "Worst mistakes", "Exports", "Cost", "Lineage"]
LARGEST = 900_000  # bytes


class Seen(html.parser.HTMLParser):
    """The elements of a page with their attributes, in order, and the text outside style."""

    def __init__(self, source: str):
        super().__init__()
        self.elements, self.words, self.inside = [], [], None
        self.feed(source)
        self.text = " ".join(" ".join(self.words).split())

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        self.inside = tag

    def handle_endtag(self, tag):
        self.inside = None

    def handle_data(self, data):
        if self.inside != "style":
            self.words.append(data)

    def all(self, *tags: str) -> list[tuple[str, dict]]:
        return [(tag, attributes) for tag, attributes in self.elements if tag in tags]


@pytest.fixture(scope="module")
def several(tmp_path_factory, images) -> Path:
    """A folder with the files of three networks, of guesses, of a skipped one, and of an ensemble that was refused."""
    folder = tmp_path_factory.mktemp("several")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        guesses.write(*(array[:1000] for array in images))
    return folder


@pytest.fixture
def refused(several, monkeypatch) -> str:
    """The page of `several`."""
    monkeypatch.chdir(several)
    return page.html()


def test_the_page_of_a_real_run_has_all_sections(small):
    source = (small.folder / paths.PAGE).read_text("utf-8")
    assert re.findall(r"<h2>(.*?)</h2>", source) == SECTIONS
    assert "champion" in Seen(source).text
    assert "It has a single member" in source


def test_it_is_small_and_names_no_address_and_runs_no_script(small, refused):
    for source in ((small.folder / paths.PAGE).read_text("utf-8"), refused):
        assert len(source.encode()) < LARGEST
        assert not re.search(
            r"(https?:|//|@import|<script|\son[a-z]+=)", re.sub(r"data:image/png;base64,[^\"]+", "", source)
        )


def test_the_same_files_give_the_same_page(refused):
    assert page.html() == refused


def test_a_refusal_says_who_and_why_and_who_stays(refused):
    seen = Seen(refused)
    assert "ensemble was refused: ece is 0.0423, limit 0.03." in seen.text
    assert "Version 5 stays champion." in seen.text
    assert "+1.00 points" in seen.text


def test_a_skipped_network_has_its_reason_and_no_figures(refused):
    row = re.search(r'<tr>\s*<th scope="row">resnet50v2.*?</tr>', refused, re.DOTALL)[0]
    assert guesses.REASON in row
    assert "79.30" in row  # the notebook's
    assert not re.findall(r"<td[^>]*>\s*</td>", refused)


def test_an_export_that_is_not_shipped_says_why_and_what_files_say_is_text(refused):
    assert "not shipped: the converter refuses <it>" in Seen(refused).text
    assert "<it>" not in refused
    assert "&lt;somebody&#39;s&gt; release" in refused


def test_headings_tables_and_pictures_tell_those_who_do_not_see_them(refused):
    seen = Seen(refused)
    levels = [int(tag[1]) for tag, _ in seen.all("h1", "h2", "h3", "h4")]
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in itertools.pairwise(levels))
    assert len(seen.all("table")) == len(seen.all("caption"))
    assert all(attributes.get("scope") in ("col", "row") for _, attributes in seen.all("th"))
    drawn = [attributes for _, attributes in seen.all("svg") if "aria-hidden" not in attributes]
    assert len(drawn) == len(charts.CHARTS) + 2 * len(guesses.NETWORKS | {"ensemble": 0})
    assert all(attributes["role"] == "img" and attributes["aria-label"] for attributes in drawn)
    regions = [attributes["aria-label"] for _, attributes in seen.all("div") if attributes.get("role") == "region"]
    assert len(set(regions)) == len(regions)


def test_the_worst_mistakes_are_the_images_that_the_table_names(several, refused, monkeypatch):
    monkeypatch.chdir(several)
    worst = pd.read_csv(paths.REPORTS / "ensemble/mistakes.csv")
    expected = page.side_by_side(splits.images(paths.TEST)[worst["image"]])
    assert expected in refused
    said = f"{worst.loc[0, 'predicted']} is {worst.loc[0, 'label']}"
    assert said in Seen(refused).text


@pytest.fixture(scope="module")
def address(several, tmp_path_factory) -> str:
    file = tmp_path_factory.mktemp("page") / "report.html"
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(several)
        file.write_text(page.html(), "utf-8")
    return file.as_uri()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [320, 1280])
def test_a_browser_shows_it_without_complaint_request_overflow_or_barrier(browser, address, width, scheme):
    with visit(browser, address, width, color_scheme=scheme) as seen:
        assert seen.complaints == []
        assert seen.asked == [address]
        assert seen.overflow() == 0
        seen.page.evaluate("document.querySelectorAll('details').forEach(part => part.open = true)")
        assert seen.overflow() == 0
        assert seen.violations() == []
        seen.keep(f"report-{scheme}-{width}")


def test_the_real_page_in_a_browser(browser, small):
    address = (small.folder / paths.PAGE).as_uri()
    with visit(browser, address, 320) as seen:
        assert (seen.complaints, seen.asked, seen.overflow()) == ([], [address], 0)
        assert seen.violations() == []


def test_it_can_be_printed(browser, address, tmp_path):
    with visit(browser, address, color_scheme="dark") as seen:
        seen.page.emulate_media(media="print")
        assert seen.page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
        assert not seen.page.locator("nav").is_visible()
        printed = seen.page.pdf(format="A4")
        assert printed.startswith(b"%PDF-")
        assert 4 <= printed.count(b"/Type /Page\n") <= 16
        (tmp_path / "report.pdf").write_bytes(printed)
        (ROOT / ".artifacts").mkdir(exist_ok=True)
        shutil.copy(tmp_path / "report.pdf", ROOT / ".artifacts")
