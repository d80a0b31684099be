"""The benchmarks' arithmetic and tables; what they measure is no matter for tests."""

import subprocess
import sys

import keras
import pytest

from benchmarks import common, page, race, throughput
from benchmarks.__main__ import share
from pipeline.core.errors import UserError
from tests.conftest import ROOT


@pytest.fixture
def results(tmp_path, monkeypatch):
    monkeypatch.setattr(common, "RESULTS", tmp_path)
    return tmp_path


def test_a_ratio_is_the_first_over_the_second_and_empty_where_one_never_got_there():
    assert share({"first": 2.0, "second": 8.0}) == 0.25
    assert share({"first": 2.0, "second": None}) == share({"first": None, "second": 8.0}) == ""


def test_a_threshold_is_reached_in_the_first_epoch_that_has_it():
    laps = []
    stopwatch = race.Stopwatch(laps.append)
    stopwatch.start()
    for accuracy in (0.5, 0.8, 0.7, 0.9):
        stopwatch.lap(accuracy)
    rows = [{"method": "ours"} | lap for lap in laps]
    assert [row["epoch"] for row in rows] == [1, 2, 3, 4]
    assert race.seconds_to(0.7, "ours", rows) == rows[1]["seconds"] < rows[3]["seconds"]
    assert race.seconds_to(0.95, "ours", rows) is race.seconds_to(0.5, "theirs", rows) is None


def test_rows_keep_the_machine_that_they_were_measured_on(results):
    common.write(
        "seeds", [{"seed": 0, "test_accuracy": 0.925678, "machine": "another"}, {"seed": 1, "test_accuracy": 1}]
    )
    rows = common.read("seeds")
    assert [row["machine"] for row in rows] == ["another", common.machine()]
    assert [row["test_accuracy"] for row in rows] == ["0.9257", "1"]
    assert common.read("nothing") == []


def test_the_spread_is_mean_and_deviation_by_profile_and_model():
    rows = [
        {"profile": "default", "model": "custom_cnn", "test_accuracy": value, "train_seconds": "400"}
        for value in ("0.92", "0.93", "0.94")
    ]
    assert page.spread(rows) == "- custom_cnn, profile default: 93.00 ± 1.00 % of the test images (3 seeds), 400 s"
    assert "±" not in page.spread(rows[:1])


def test_the_page_has_what_was_measured_and_says_what_was_not(results):
    common.write("ratios", [{"benchmark": "scratch", "figure": "seconds", "first": 1.0, "second": 2.0, "ratio": 0.5}])
    common.write("throughput", [{"stage": "train@custom_cnn", "share": 0.4}])
    page.write()
    text = (results / "README.md").read_text()
    assert "## ratios" in text
    assert "train@custom_cnn" in text
    assert text.count("Not measured yet.") == len(page.SECTIONS) - 1
    assert "Not measured yet." in text.partition("## inference")[2]
    assert (results / "benchmarks.png").stat().st_size > 10_000


def test_operations_of_a_forward_pass_are_counted():
    network = keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            keras.layers.Conv2D(4, 3, padding="same"),  # 64 places, 27 x 4 products
            keras.layers.DepthwiseConv2D(3, padding="same"),  # 64 places, 9 x 4
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(10),  # 4 x 10
        ]
    )
    assert throughput.operations(network) == 2 * (64 * 27 * 4 + 64 * 9 * 4 + 40)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["benchmarks", "speed"], "no benchmark speed; known: notebook, scratch, throughput, inference, edge"),
        (["benchmarks.seeds", "lenet", "0"], "no architecture lenet in params.yaml; there are custom_cnn, mobilenetv2"),
        (["benchmarks.seeds", "custom_cnn", "0", "--profile", "fast"], "the profiles are cnn94, default, gpu, smoke"),
        (
            ["benchmarks.seeds", "custom_cnn", "0", "--profile", "smoke"],
            "profile smoke has images or a trunk of its own",
        ),
    ],
)
@pytest.mark.slow
def test_a_mistake_is_one_line(arguments, message):
    result = subprocess.run([sys.executable, "-m", *arguments], cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 1
    lines = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1
    assert message in lines[0]
    assert "Traceback" not in result.stderr


def test_a_benchmark_of_the_cached_trunk_wants_one(checked):
    changed = checked.model_copy(update={"models": checked.models | {"mobilenetv2": checked.models["custom_cnn"]}})
    assert common.cached("mobilenetv2", checked) is checked.models["mobilenetv2"]
    with pytest.raises(UserError, match=r"models\.mobilenetv2 of method transfer"):
        common.cached("mobilenetv2", changed)
