"""Reading needs no right to write: a clone with results that another user owns, read by one without name and home."""

import os
import re
import shlex
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest

from tests import reading
from tests.conftest import ROOT
from tests.test_docs import free_ports
from tools.screenshot import answered

pytestmark = pytest.mark.slow
CHAPTER = "surroundings"
READING = ("pipeline predict", "pipeline payload", "pipeline history", "pipeline lineage", "pipeline offline")
TYPED = [command for section in reading.sections(ROOT / "README.md") for command in section.commands]
COMMANDS = [
    re.sub(r" > \S+$", "", command)  # into a file here
    for command in TYPED
    if reading.name(command) in READING and "--output" not in command
]
USER = "54321"
# Python's own files may be root's alone; what may be read then may not be written yet.
OTHER = ["setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups"]
OTHER += ["--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"]
Start = Callable[..., subprocess.Popen]


@pytest.fixture(scope="module")
def start(small) -> Iterator[Start]:
    """Start a program in the workspace as another user without a name, or, by one who is not root, without rights."""
    root = os.getuid() == 0 and shutil.which("setpriv") is not None
    variables = {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"}

    def starting(*command: str, **more: str) -> subprocess.Popen:
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        return subprocess.Popen([*OTHER * root, *command], cwd=small.folder, env=variables | more, **pipes)

    inside = [path for path in (small.folder, *small.folder.rglob("*")) if not path.is_symlink()]
    modes = {path: stat.S_IMODE(path.stat().st_mode) for path in (*small.folder.parents, *inside)}
    before = small.git("status", "--short")
    for path, mode in modes.items():
        read = mode | (mode & 0o500) >> 3 | (mode & 0o500) >> 6  # by others, as by who owns it
        if root and read != mode:
            path.chmod(read)
        elif not root and path in inside:
            path.chmod(mode & ~0o222)
    yield starting
    for path, mode in modes.items():
        if stat.S_IMODE(path.stat().st_mode) != mode:
            path.chmod(mode)
    assert small.git("status", "--short") == before


def run(start: Start, *command: str) -> tuple[int, str, str]:
    """Return how `python -m` with these arguments ended, and what it printed."""
    process = start(sys.executable, "-m", *command)
    out, err = process.communicate(timeout=300)
    return process.returncode, out, err


@pytest.mark.fault("in a clone of another user's, by one without a name:", chapter=CHAPTER)
@pytest.mark.parametrize(
    "command", [*dict.fromkeys(COMMANDS), "pipeline predict plots/pictures --model exports/custom_cnn/float32.tflite"]
)
def test_a_command_that_reads_works(command, start, record_property):
    status, out, err = run(start, *shlex.split(command))
    assert (status, "Traceback" in err, bool(out.strip())) == (0, False, True), err
    record_property("seen", out.splitlines()[0])


@pytest.mark.fault("in a clone of another user's, what writes:", chapter=CHAPTER)
@pytest.mark.parametrize(
    "command",
    [
        "pipeline promote 1 --why x",
        "pipeline rollback --why x",
        "pipeline restore",
        "pipeline mend --migrate",
        "pipeline predict plots/pictures/samples.png --output predictions.csv",
    ],
)
def test_a_command_that_writes_ends_in_a_line(command, start, record_property):
    status, out, err = run(start, *shlex.split(command))
    (line,) = [line for line in err.splitlines() if not line.startswith("model: ")]
    assert (status, out) == (1, "")
    assert line.startswith("error: ") and "permission denied" in line
    record_property("seen", line)


@pytest.mark.fault("in a clone of another user's, as a server:", chapter=CHAPTER)
@pytest.mark.parametrize(
    ("command", "page"), [("pipeline serve --port", "/ready"), ("tools.ui", "/health")], ids=["serve", "ui"]
)
def test_a_server_runs(command, page, start):
    (port,) = free_ports(1)
    process = start(sys.executable, "-m", *command.split(), *[port] * command.endswith("port"), PORT=port)
    try:
        assert answered(f"http://127.0.0.1:{port}{page}", process)
    finally:
        process.terminate()
        process.communicate(timeout=60)
