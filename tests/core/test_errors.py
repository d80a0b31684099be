"""What the machine does to a user is one clear line: a full disk, a read-only folder, a missing program."""

import os
import shutil
import subprocess
import sys

import pytest

from pipeline.core.errors import UserError, require_space
from tests.conftest import ROOT

PROBE = ["unshare", "--map-root-user", "--mount", "mount", "-t", "tmpfs", "none", "/mnt"]
MOUNTS = shutil.which("unshare") and subprocess.run(PROBE, capture_output=True).returncode == 0
needs_mounts = pytest.mark.skipif(not MOUNTS, reason="this system lets no user mount a small or read-only disk")


def inside(tmp_path, options: str, stage: str, **environment: str) -> subprocess.CompletedProcess:
    """Run a stage in a fresh tmpfs that is mounted with `options`, in a mount namespace of its own."""
    mounted = tmp_path / "mounted"
    mounted.mkdir()
    script = (
        f"mount -t tmpfs -o size=64m none {mounted} && cp {ROOT}/params.yaml {mounted} && cd {mounted} "
        f"&& mount -o remount,{options} {mounted} && exec {sys.executable} -m pipeline.stages {stage}"
    )
    command = ["unshare", "--map-root-user", "--mount", "sh", "-c", script]
    variables = os.environ | {"PYTHONPATH": str(ROOT)} | environment
    return subprocess.run(command, env=variables, capture_output=True, text=True)


def test_a_message_is_one_short_line_whatever_it_quotes():
    message = str(UserError("x.yaml: \x1b[2Ja key\r\n\u2028error: none\x00: " + "long " * 10_000))
    assert message.startswith("x.yaml: [2Ja key error: none : long")
    assert message.isprintable()
    assert len(message) <= 2000


@pytest.mark.parametrize("user", ["me:word", "me:w@rd", "token", "me@here:w:rd@", ":word"])
def test_no_password_or_token_of_an_address_is_in_a_message(user):
    message = f"https://{user}@host/a@b failed, as did http://host/x and me@host"
    assert str(UserError(message)) == "https://***@host/a@b failed, as did http://host/x and me@host"


@needs_mounts
def test_a_full_disk_is_said_before_any_work(tmp_path):
    result = inside(tmp_path, "size=1m", "download")
    assert (result.returncode, result.stderr.count("\n")) == (1, 1), result.stderr
    assert "800 MB needed, 1 MB free; free some space" in result.stderr


@needs_mounts
def test_a_disk_that_fills_up_later_leaves_no_file(tmp_path, raw):
    script = tmp_path / "write.py"
    script.write_text(
        "from pathlib import Path\n"
        "from pipeline.core import errors, files\n"
        "def main():\n"
        "    try:\n"
        "        with files.replacing(Path('whole.bin')) as temporary:\n"
        "            temporary.write_bytes(bytes(2_000_000))\n"
        "    finally:\n"
        "        print(sorted(path.name for path in Path().iterdir()))\n"
        "errors.run(main)\n"
    )
    mounted = tmp_path / "mounted"
    mounted.mkdir()
    shell = f"mount -t tmpfs -o size=1m none {mounted} && cd {mounted} && exec {sys.executable} {script}"
    result = subprocess.run(
        ["unshare", "--map-root-user", "--mount", "sh", "-c", shell],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert result.returncode == 1
    assert result.stdout == "[]\n"
    assert "the disk is full; free some space and run again" in result.stderr
    assert "Traceback" not in result.stderr


@needs_mounts
def test_a_read_only_folder_is_one_line(tmp_path):
    result = inside(tmp_path, "ro", "prepare")
    assert (result.returncode, result.stderr.count("\n")) == (1, 1), result.stderr
    assert "the folder is read-only; make it writable" in result.stderr


@pytest.mark.parametrize("missing", ["git", "dvc"])
def test_a_missing_program_is_named(missing, tmp_path, run_stage):
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in {"git", "dvc"} - {missing}:
        (programs / name).symlink_to(shutil.which(name))
    if missing == "git":
        (tmp_path / ".git").mkdir()  # without a repository, none is asked
    result = run_stage("weights", "custom_cnn", PATH=str(programs))
    assert result.returncode == 1
    assert result.stderr.startswith(f"error: {missing} is not on the PATH")
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize(
    "stage", ["prepare", "weights custom_cnn", "train custom_cnn", "evaluate custom_cnn", "export", "report", "page"]
)
def test_a_stage_by_hand_before_its_inputs_exist_is_one_line(stage, run_stage):
    result = run_stage(*stage.split())
    assert (result.returncode, result.stderr.count("\n")) == (1, 1), result.stderr
    assert "missing" in result.stderr
    assert "dvc repro" in result.stderr


def test_make_says_that_git_is_missing(tmp_path):
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("make", "sh", "env", "echo"):
        (programs / name).symlink_to(shutil.which(name))
    for name in ("Makefile", "requirements.lock"):
        shutil.copy(ROOT / name, tmp_path)
    result = subprocess.run(
        ["make", "repro"], cwd=tmp_path, env={"PATH": str(programs)}, capture_output=True, text=True
    )
    assert result.returncode != 0
    assert "error: git is missing: install it first" in result.stderr
    assert not (tmp_path / ".venv").exists()


def test_too_little_space_names_the_folder_and_both_sizes(tmp_path):
    with pytest.raises(UserError, match=r"models: 1000000000000 MB needed, \d+ MB free"):
        require_space(tmp_path / "models", 10**18)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["pipeline.stages.train", "custom_cnn"], "error: run `python -m pipeline.stages train`\n"),
        (["pipeline.stages", "trian"], "error: name a stage: download, duplicates, "),
        (["pipeline.stages"], "error: name a stage: download, duplicates, "),
    ],
)
def test_a_stage_that_is_called_otherwise_is_one_line(arguments, told, tmp_path):
    command = [sys.executable, "-m", *arguments]
    result = subprocess.run(command, cwd=tmp_path, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True)
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr.startswith(told) and result.stderr.count("\n") == 1
