"""The report's page: what it says, that it needs nothing else, and how it looks in a browser."""

import html.parser
import itertools
import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from ruamel.yaml import YAML

from pipeline.core import paths
from pipeline.core.files import write_json
from pipeline.data import cifar10, splits
from pipeline.evaluation import metrics, record
from pipeline.reporting import charts, page
from tests.browser import visit
from tests.conftest import ROOT

SECTIONS = ["Results", "Paired tests", "Accuracy and cost", "Curves", "Confusion matrices", "Classes", "Reliability"]
SECTIONS += ["Where the ensemble helps", "Worst mistakes", "Exports", "Cost", "Lineage"]
NETWORKS = {"custom_cnn": 0.9, "mobilenetv2": 0.93, "efficientnet_lite0": 0.92}
REASON = "ImageNet weights unreachable, and none in the weights folder"
LARGEST = 900_000  # bytes
EXPORT = {"role": "best", "candidate": "ensemble", "format": "litert", "size_mb": 31.2, "images": 4500}
EXPORT |= {"accuracy_drop": 0.001, "drop_low": -0.002, "drop_high": 0.004}
EXPORT |= {"accuracy": 0.93, "keras_accuracy": 0.931, "latency_ms_1_thread": 4.1, "latency_ms_2_threads": 2.6}


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


def guessed(labels: np.ndarray, right: float, seed: int) -> np.ndarray:
    """Probabilities (N, 10) whose largest is the label's in about the share `right` of the cases."""
    random = np.random.default_rng(seed)
    logits = random.normal(0, 1, (len(labels), 10))
    chosen = np.where(random.random(len(labels)) < right, labels, random.integers(0, 10, len(labels)))
    logits[np.arange(len(labels)), chosen] += 4 + random.random(len(labels))
    return (np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)).astype("float32")


@pytest.fixture(scope="module")
def several(tmp_path_factory, images) -> Path:
    """A folder with the files of three networks, of guesses, of a skipped one, and of an ensemble that was refused."""
    folder = tmp_path_factory.mktemp("several")
    pictures, labels = (array[:1000] for array in images)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        splits.save(paths.TEST, pictures, labels)
        splits.save(paths.VALIDATION, pictures, labels)
        paths.REPORTS.mkdir()
        pd.DataFrame({"image": [3, 4]}).to_csv(paths.DUPLICATES, index=False)
        write_json(paths.DUPLICATES.with_suffix(".json"), {"with_a_near_duplicate": 2})
        counts = dict.fromkeys(cifar10.CLASSES, 100)
        write_json(paths.REPORTS / "data.json", {"classes": dict.fromkeys(("train", "validation", "test"), counts)})
        guesses = {name: guessed(labels, share, seed) for seed, (name, share) in enumerate(NETWORKS.items())}
        guesses["ensemble"] = sum(guesses.values()) / len(NETWORKS)
        against = {"against_best_member": {"member": "mobilenetv2"}}
        against["against_best_member"] |= metrics.mcnemar(guesses["ensemble"], guesses["mobilenetv2"], labels)
        for size, (name, guess) in enumerate(guesses.items(), 1):
            more = against if name == "ensemble" else {}
            record.write(name, guess, guess, labels, 15, {"parameters": 10**6, "size_mb": 4.0 * size}, **more)
            write_facts(name)
        history = {"epoch": [1, 2], "loss": [1.5, 1.2], "accuracy": [0.6, 0.7], "val_loss": [1.4, 1.3]}
        for name in NETWORKS:
            paths.HISTORY.mkdir(parents=True, exist_ok=True)
            pd.DataFrame(history | {"val_accuracy": [0.5, 0.8]}).to_csv(paths.HISTORY / f"{name}.csv", index=False)
        write_json(paths.METRICS / "resnet50v2.json", {"skipped": REASON})
        tables = paths.REPORTS / "ensemble"
        metrics.paired(guesses, labels).to_csv(tables / "paired.csv", index=False)
        helps = metrics.helps(guesses["ensemble"], guesses["mobilenetv2"], labels, cifar10.CLASSES)
        helps.to_csv(tables / "helps.csv", index=False)
        outs = [
            {"path": str(path), "md5": f"{path.name:a<32}.dir"} for path in (paths.TRAIN, paths.VALIDATION, paths.TEST)
        ]
        YAML(pure=True).dump({"stages": {"prepare": {"outs": outs}}}, Path("dvc.lock"))
        names = ["custom_cnn", "mobilenetv2", "resnet50v2", "efficientnet_lite0"]
        write_json(paths.MODELS / "resnet50v2/model.json", {"status": "skipped", "reason": REASON})
        vote = {"weights": dict.fromkeys(NETWORKS, 1 / 3), "temperature": 0.9, "architectures": names}
        write_json(paths.VOTE, vote)
        measured = {"agreement": 0.99, "precision": "float32", "file": "x", "shipped": True, "reasons": []}
        refused = dict.fromkeys(EXPORT) | {"candidate": "ensemble", "role": "best", "format": "onnx"}
        refused |= {"agreement": None, "precision": "int8", "file": None, "shipped": False}
        write_json(paths.EXPORTED, [EXPORT | measured, refused | {"reasons": ["the converter refuses <it>"]}])
        write_json(paths.REGISTRY, refusal())
    return folder


def write_facts(name: str) -> None:
    """The facts and the records of a candidate."""
    spent = {"wall_seconds": 210.0, "cpu_seconds": 400.0, "peak_memory_gb": 2.0}
    costs = {"train_seconds": 300.0, "train_cpu_seconds": 500.0}
    record = {"git.commit": "c" * 40, "git.changed": "true", "started": "2026-11-25T14:00:00+00:00"}
    facts = {"status": "trained", "fingerprint": "f" * 64}
    evaluated = record | {"seconds_per_1000_images": 1.5, "spent": spent}
    if name == "ensemble":
        facts |= {"weights": dict.fromkeys(NETWORKS, 1 / 3)}
        evaluated |= costs
    else:
        facts |= {"weights": {"status": "ready", "origin": "<somebody's> release", "sha256": "d" * 64}}
        record |= {"device": "CPU", "precision": "float32", "profile": "default"} | costs | spent
        write_json(paths.RECORDS / "train" / f"{name}.json", record)
        write_json(paths.RECORDS / "trunk" / f"{name}.json", spent if name != "custom_cnn" else {"skipped": "no trunk"})
    write_json(paths.RECORDS / "evaluate" / f"{name}.json", evaluated)
    write_json(paths.candidate(name) / "model.json", facts)


def refusal() -> dict:
    checks = [{"check": "ece", "value": 0.0423, "limit": 0.03, "passed": False}]
    evidence = {
        "difference": 0.01,
        "difference_low": -0.002,
        "difference_high": 0.02,
        "better": 9,
        "worse": 4,
        "p": 0.13,
    }
    gate = {"promote": False, "reason": "ece is 0.0423, limit 0.03", "checks": checks, "evidence": evidence}
    decision = {"model": "cifar10-classifier", "version": "7", "candidate": "ensemble"}
    decision |= {"stage": "Staging", "alias": "challenger", "champion": "5", "decided_by": "validation accuracy"}
    shares = dict.fromkeys(NETWORKS, 0.9) | {"ensemble": 0.9432}
    return decision | {"candidates": shares, "gate": gate, "tags": {"evidence": "a" * 64}}


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
    assert REASON in row
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
    assert len(drawn) == len(charts.CHARTS) + 2 * len(NETWORKS | {"ensemble": 0})
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
