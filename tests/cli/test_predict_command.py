"""What `pipeline predict` and `pipeline payload` write, and what becomes of it when they are stopped."""

import csv
import functools
import io
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from pipeline.core import paths
from pipeline.data.cifar10 import CLASSES
from pipeline.serving import predict
from tests import tiny
from tests.console import ENVIRONMENT, PROGRAM, on_a_terminal, pipeline


@pytest.fixture(scope="module")
def place(images, tmp_path_factory) -> Path:
    """A folder with a model that loads at once, a folder `photos` with 12 pictures, and a text named .png."""
    folder = tiny.with_photos(tmp_path_factory.mktemp("place"), images[0][:12])
    (folder / "photos" / "notes.txt").touch()
    (folder / "text.png").write_text("no picture")
    return folder


def test_a_table_of_a_folders_pictures(place):
    told = pipeline("predict", "photos", "--model", "tiny.onnx", "--top", "2", cwd=place)
    assert told.returncode == 0
    heading, *rows = told.stdout.splitlines()
    assert heading.split() == ["class", "probability", "class", "probability", "file"]
    assert [row.split()[-1] for row in rows] == [f"photos/{number:02}.png" for number in range(12)]
    assert all(row.split()[0] in CLASSES and re.fullmatch(r"\d+\.\d%", row.split()[1]) for row in rows)
    assert told.stderr == "1 files are no pictures by their suffix, and left out\nmodel: tiny.onnx\n"


def test_csv_and_json_say_the_same_and_the_file_that_cannot_be_read(place):
    arguments = ["predict", "text.png", "photos", "--model", "tiny.onnx", "--top", "10"]
    told = pipeline(*arguments, "--format", "csv", cwd=place)
    rows = list(csv.DictReader(io.StringIO(told.stdout)))
    entries = json.loads(pipeline(*arguments, "--json", cwd=place).stdout)
    assert told.returncode == 3
    assert "unreadable: text.png: is no picture in a format that is read\n" in told.stderr
    assert told.stderr.endswith("1 of 13 could not be read\n")
    assert [row["file"] for row in rows] == [entry["file"] for entry in entries]
    assert rows[0]["error"] == entries[0]["error"] == "is no picture in a format that is read"
    assert (rows[0]["class"], rows[0]["probability"]) == ("", "")
    for row, entry in zip(rows[1:], entries[1:], strict=True):
        assert row["class"] == entry["class"] == max(entry["probabilities"], key=entry["probabilities"].get)
        assert float(row["probability"]) == entry["probability"]
        assert sum(entry["probabilities"].values()) == pytest.approx(1, abs=1e-5)
        assert set(entry["probabilities"]) == set(CLASSES)
        assert row["class_10"] == list(entry["probabilities"])[-1]


def test_a_file_is_written_in_the_form_of_its_suffix(place, tmp_path):
    for name, begin in (("x.csv", "file,class,"), ("x.json", "[\n{"), ("x.txt", "class ")):
        told = pipeline("predict", "photos", "--model", "tiny.onnx", "--output", tmp_path / name, cwd=place)
        assert (told.returncode, told.stdout) == (0, "")
        assert (tmp_path / name).read_text().startswith(begin)


def test_names_that_are_no_text_or_steer_a_terminal_are_written_harmlessly(place, tmp_path):
    picture = (place / "photos/00.png").read_bytes()
    for name in (b"\xff.png", b"\x1b[2J.png", b'a,"b\n.png'):
        Path(os.fsdecode(bytes(tmp_path) + b"/" + name)).write_bytes(picture)
    arguments = ["predict", ".", "--model", place / "tiny.onnx"]
    table = pipeline(*arguments, cwd=tmp_path)
    assert (table.returncode, table.stdout.count("\n"), "\x1b" in table.stdout) == (0, 4, False)
    rows = list(csv.DictReader(io.StringIO(pipeline(*arguments, "--format", "csv", cwd=tmp_path).stdout)))
    assert 'a,"b\n.png' in [row["file"] for row in rows]
    entries = json.loads(pipeline(*arguments, "--json", cwd=tmp_path).stdout)
    assert {os.fsencode(entry["file"]) for entry in entries} == {b"\xff.png", b"\x1b[2J.png", b'a,"b\n.png'}


def test_a_folder_without_pictures_is_an_error(place, tmp_path):
    result = pipeline("predict", tmp_path, "--model", place / "tiny.onnx")
    assert (result.returncode, result.stdout, result.stderr.count("\n")) == (1, "", 1)
    assert "no pictures in" in result.stderr


def linked(place: Path, folder: Path, count: int) -> Path:
    """A folder with so many pictures, which are links to the same 12."""
    pictures = sorted((place / "photos").glob("*.png"))
    folder.mkdir()
    for number in range(count):
        (folder / f"{number:05}.png").hardlink_to(pictures[number % len(pictures)])
    return folder


def test_a_log_has_lines_and_a_terminal_a_bar_with_the_time_left(place, tmp_path):
    folder = linked(place, tmp_path / "many", 3 * predict.BATCH)
    arguments = ["predict", folder, "--model", "tiny.onnx", "--output", tmp_path / "x.csv"]
    log = pipeline(*arguments, cwd=place).stderr
    assert re.search(r"^predict: 50%, \d+ s left$", log, re.MULTILINE)
    assert "\r" not in log
    status, shown = on_a_terminal(*arguments, cwd=place)
    assert status == 0
    assert re.search(r"\rpredict: 100%\|.*300/300 \[\d\d:\d\d<", shown)


def test_memory_does_not_depend_on_the_number_of_pictures(place, tmp_path):
    peaks = []
    for count in (1_000, 10_000):
        folder = linked(place, tmp_path / str(count), count)
        command = [*PROGRAM, "predict", folder, "--model", "tiny.onnx", "--output", tmp_path / "x.json"]
        process = subprocess.Popen(command, cwd=place, env=ENVIRONMENT, stderr=subprocess.DEVNULL)
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        assert (process.returncode, len(json.loads((tmp_path / "x.json").read_text()))) == (0, count)
        peaks.append(used.ru_maxrss)
    assert peaks[1] - peaks[0] < 10_000  # KiB; the 9,000 images alone are 27,000


@pytest.mark.fault("predict interrupted at work by")
@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM], ids=["SIGINT", "SIGTERM"])
def test_an_interrupted_prediction_leaves_no_file(sent, place, tmp_path, record_property):
    folder = linked(place, tmp_path / "many", 20_000)
    output = tmp_path / "results" / "x.csv"
    output.parent.mkdir()
    command = [*PROGRAM, "predict", folder, "--model", "tiny.onnx", "--output", output]
    # A shell that runs the tests in the background has its children ignore SIGINT.
    heard = functools.partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    process = subprocess.Popen(command, cwd=place, env=ENVIRONMENT, stderr=subprocess.PIPE, text=True, preexec_fn=heard)
    while not list(tmp_path.glob("results/.partial-*")):
        time.sleep(0.02)
        assert process.poll() is None
    process.send_signal(sent)
    told = process.communicate()[1]
    assert process.returncode == 130
    assert told.endswith("interrupted: run the command again\n") and "Traceback" not in told
    assert list(output.parent.iterdir()) == []
    record_property("seen", "exit status 130, one line, no file")


def test_a_reader_that_leaves_ends_it_without_a_traceback(place, tmp_path):
    folder = linked(place, tmp_path / "many", 5_000)
    command = [*PROGRAM, "predict", folder, "--model", "tiny.onnx", "--format", "csv"]
    process = subprocess.Popen(command, cwd=place, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout.readline() == b"file,class,probability,error\n"
    process.stdout.close()
    assert b"Traceback" not in process.stderr.read()
    assert process.wait() != 0


def test_a_payload_is_what_mlflows_server_takes(place, images, tmp_path):
    import mlflow
    from mlflow.pyfunc import scoring_server

    from pipeline.tracking import logged_models

    told = pipeline("payload", "photos/00.png", "photos/01.png", cwd=place)
    assert (told.returncode, told.stderr) == (0, "")
    model = tiny.keras_model(tmp_path / "tiny.keras")
    mlflow.tensorflow.save_model(model, tmp_path / "m", signature=logged_models.SIGNATURE, pip_requirements=["keras"])
    served = mlflow.pyfunc.load_model(str(tmp_path / "m"))
    schema = served.metadata.get_input_schema()
    answer = scoring_server.invocations(told.stdout, "application/json", served, schema)
    assert answer.status == 200, answer.response
    found = np.array(json.loads(answer.response)["predictions"])
    assert found == pytest.approx(model.predict(images[0][:2], verbose=0), abs=1e-5)


def test_a_payload_is_whole_or_not_at_all(place):
    result = pipeline("payload", "photos/00.png", "text.png", cwd=place)
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr == "error: text.png: is no picture in a format that is read\n"


@pytest.mark.slow
def test_the_champion_of_a_run_predicts(small, place):
    photos = [place / f"photos/{number:02}.png" for number in range(12)]
    told = small.pipeline("predict", *map(str, photos), "--json", "--top", "10")
    assert (told.returncode, told.stderr) == (0, "model: cifar10-classifier version 1\n")
    file = paths.candidate(small.read("registry.json")["candidate"]) / "model.keras"
    by_file = small.pipeline("predict", *map(str, photos), "--json", "--top", "10", "--model", str(file))
    assert json.loads(told.stdout) == json.loads(by_file.stdout)


def test_a_file_of_exports_is_predicted_by_without_tensorflow(place):
    code = "import sys; from pipeline.serving import load; load.load('tiny.onnx'); print('tensorflow' in sys.modules)"
    told = subprocess.run([sys.executable, "-c", code], cwd=place, env=ENVIRONMENT, capture_output=True, text=True)
    assert told.stdout == "False\n", told.stderr
