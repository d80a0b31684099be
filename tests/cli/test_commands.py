"""The program `pipeline` as a user's shell sees it: help, colours, completion, exit statuses."""

import json
import os
import pkgutil
import re
import subprocess
import sys

import pytest
from PIL import Image

from pipeline import cli
from pipeline.core import errors
from tests.conftest import ROOT
from tests.console import ENVIRONMENT, on_a_terminal, pipeline

COMMANDS = sorted(module.name for module in pkgutil.iter_modules(cli.__path__))


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_an_example(command):
    told = pipeline(command, "--help")
    assert (told.returncode, told.stderr) == (0, "")
    todo = f"its docstring needs `\\b`, `Examples:` and a line that begins with `  pipeline {command}`"
    assert "\n  Examples:\n    " in told.stdout, todo
    assert re.search(rf"^    .*\bpipeline {command}\b", told.stdout, re.MULTILINE), todo


def test_the_list_of_commands_cuts_none_short_and_has_the_exit_statuses():
    told = pipeline("--help").stdout
    for command in COMMANDS:
        (line,) = re.findall(rf"^  {command} +(.*)$", told, re.MULTILINE)
        whole = line.endswith(".") and not line.endswith("..") and len(line) <= 60
        assert whole, f"{command}: the docstring's first line must be a sentence of at most 60 characters"
    for status in ("0", "1", "2", "3", "130"):
        assert re.search(rf"^    {status} +\w", told, re.MULTILINE)


def test_version():
    assert re.fullmatch(r"pipeline \d+\.\d+\.\d+\n", pipeline("--version").stdout)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["predit"], "No such command 'predit'. Did you mean 'predict'?"),
        (["histroy"], "Did you mean 'history'?"),
        (["predict", "x.png", "--formt", "csv"], "Did you mean '--format'?"),
        (["predict"], "Missing argument 'PATH...'"),
        (["predict", "x.png", "--top", "11"], "11 is not in the range 1<=x<=10"),
        (["predict", "x.png", "--format", "xml"], "'xml' is not one of 'table', 'csv', 'json'"),
        (["predict", "x.png", "--model", "nowhere.keras"], "nowhere.keras is no file"),
        (["predict", "x.png", "--model", "models/model.h5"], "models/model.h5 is no .keras, .tflite, .onnx file"),
        (["predict", "x.png", "--output", "."], "File '.' is a directory"),
        (["payload", "nowhere.png"], "File 'nowhere.png' does not exist"),
        (["promote", "3"], "Missing option '--why'"),
    ],
)
def test_wrong_usage_is_one_line_and_status_2(arguments, told, tmp_path):
    result = pipeline(*arguments, cwd=tmp_path)
    assert (result.returncode, result.stdout, result.stderr.count("\n")) == (2, "", 1), result.stderr
    assert result.stderr.startswith("error: ") and told in result.stderr and "--help`)" in result.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["predict", "x.png"],
        ["predict", "x.png", "--model", "Production"],
        ["history"],
        ["lineage", "@champion"],
        ["promote", "3", "--why", "x"],
        ["rollback", "--why", "x"],
        ["restore"],
        ["relocate"],
        ["offline"],
        ["mend"],
    ],
    ids=" ".join,
)
def test_outside_the_repository_it_is_one_line(arguments, tmp_path):
    Image.new("RGB", (32, 32)).save(tmp_path / "x.png")
    result = pipeline(*arguments, cwd=tmp_path)
    assert (result.returncode, result.stdout, result.stderr.count("\n")) == (1, "", 1), result.stderr
    assert result.stderr.startswith("error: ")
    assert [path.name for path in tmp_path.iterdir()] == ["x.png"]


@pytest.mark.usefixtures("store")
def test_a_history_in_which_nothing_is_says_so(tmp_path):
    told = pipeline("history", cwd=tmp_path)
    assert (told.returncode, told.stdout) == (0, "nothing was promoted yet: `dvc repro` does\n"), told.stderr
    assert json.loads(pipeline("history", "--json", cwd=tmp_path).stdout) == []


@pytest.mark.parametrize("arguments", [["history"], ["lineage", "@champion"], ["predict", "x.png"]], ids=" ".join)
def test_reading_makes_no_store(arguments, tmp_path):
    for name in ("params.yaml", "dvc.yaml"):
        (tmp_path / name).write_text((ROOT / name).read_text())
    Image.new("RGB", (32, 32)).save(tmp_path / "x.png")
    before = sorted(tmp_path.iterdir())
    told = pipeline(*arguments, cwd=tmp_path)
    assert (told.returncode, told.stdout, told.stderr.count("\n")) == (1, "", 1), told.stderr
    assert f"error: {tmp_path}/mlruns/mlflow.db does not exist: `dvc repro` makes it" in told.stderr
    assert sorted(tmp_path.iterdir()) == before


def test_a_tracking_server_that_does_not_answer_is_one_line(tmp_path):
    (tmp_path / "params.yaml").write_text((ROOT / "params.yaml").read_text())
    Image.new("RGB", (32, 32)).save(tmp_path / "x.png")
    result = pipeline("predict", "x.png", cwd=tmp_path, MLFLOW_TRACKING_URI="http://127.0.0.1:9")
    assert (result.returncode, result.stdout, result.stderr.count("\n")) == (1, "", 1), result.stderr
    assert "the tracking server http://127.0.0.1:9 does not answer" in result.stderr


@pytest.mark.parametrize("arguments", [["promote", "3"], ["predit"]], ids=" ".join)
def test_there_are_colours_on_a_terminal_only_and_not_with_no_color(arguments):
    assert "\x1b[" in on_a_terminal(*arguments)[1]
    assert "\x1b[" not in on_a_terminal(*arguments, NO_COLOR="1")[1]
    assert "\x1b[" not in on_a_terminal(*arguments, TERM="dumb")[1]
    piped = pipeline(*arguments)
    assert "\x1b" not in piped.stdout + piped.stderr


@pytest.fixture(scope="module")
def path(tmp_path_factory) -> str:
    """A PATH on which `pipeline` is this code."""
    program = tmp_path_factory.mktemp("bin") / "pipeline"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m pipeline "$@"\n')
    program.chmod(0o755)
    return f"{program.parent}{os.pathsep}{os.environ['PATH']}"


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("pipeline pre", {"predict"}),
        ("pipeline ", set(COMMANDS)),
        ("pipeline predict --mo", {"--model"}),
        ("pipeline predict --model @", {"@champion", "@challenger", "@edge"}),
        ("pipeline predict --format ", {"table", "csv", "json"}),
        ("pipeline lineage train@cus", {"train@custom_cnn"}),
    ],
)
def test_bash_completes(typed, offered, path, tmp_path):
    *before, word = typed.split(" ")
    script = (
        f"source <(_PIPELINE_COMPLETE=bash_source pipeline); COMP_WORDS=({typed}); COMP_CWORD={len(before)}\n"
        f"_pipeline_completion pipeline {word!r} {before[-1]}\n"  # as bash calls it at the tab key
        'printf "%s\\n" "${COMPREPLY[@]}"\n'
    )
    variables = ENVIRONMENT | {"PATH": path}
    command = ["bash", "--norc", "-c", script]
    result = subprocess.run(command, cwd=tmp_path, env=variables, capture_output=True, text=True)
    assert (set(result.stdout.split()), result.stderr) == (offered, "")


def test_what_others_wrote_does_not_steer_the_terminal():
    assert errors.printable("worse\n\x1b[31m") == "worse" + 2 * "\N{REPLACEMENT CHARACTER}" + "[31m"
