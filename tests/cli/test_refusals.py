"""Every command, on a system that refuses some of its system calls: it succeeds all the same, or says why in one line.

The commands are listed from the package, and run as the first example in their help: a new one is tried by itself.
"""

import contextlib
import json
import os
import re
import shlex
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from mlflow import MlflowClient
from PIL import Image

from pipeline.__main__ import MODULES, main
from pipeline.core import environment, paths
from pipeline.recovery import relocate
from pipeline.registry import promotion
from pipeline.tracking import store as tracking
from tests import tiny
from tests.conftest import ROOT, repository
from tests.refusing import CALLS, LIBRARY, REFUSED

pytestmark = pytest.mark.skipif(LIBRARY is None, reason="this system has no libseccomp")
MODEL = "cifar10-classifier"
OUTPUT = "classes.csv"
ARGUMENTS = {  # where the example in the help needs more than is there
    "predict": ["photos", "--model", "tiny.onnx", "--output", OUTPUT],
    "relocate": ["moved"],
    "serve": ["--port", "0"],
}
LOCKED = "schema: '2.0'\nstages: {}\n"
CUT_OFF = LOCKED[:-5]  # as DVC leaves it when it is killed in writing it
BESIDE = re.compile(r"(warning|note|model): |\d+ files are no pictures")  # lines on stderr that end nothing
UNREADABLE = re.compile(r"unreadable: |\d+ of \d+ could not be read$")  # with status 3
PASSING = (".lock", ".partial-", "registry.lock", "mlflow.db")  # how names of files begin that are not compared
COLUMNS = [(column, table) for table, column in relocate.COLUMNS.items()]
Case = tuple[str, str, int]  # command, what is refused, with which error


class Ended(NamedTuple):
    status: int
    stdout: str
    stderr: str


class Place:
    """A workspace that is made anew for each command, in the same place, and the server that runs commands there."""

    def __init__(self, pristine: Path, server: subprocess.Popen):
        self.pristine, self.folder, self.server = pristine, pristine.with_name("project"), server
        self.failing = () if (pristine / "models").exists() else FAIL_HERE
        self.before = contents(pristine), [places(database) for database in sorted(pristine.glob("*/mlflow.db"))]
        self.clean: dict[str, tuple[Ended, dict[str, bytes], list[str]]] = {}

    def run(self, arguments: list[str], what: str | None = None, number: int = 0) -> Ended:
        shutil.rmtree(self.folder, ignore_errors=True)
        shutil.copytree(self.pristine, self.folder, symlinks=True, copy_function=copy)
        if arguments[0] == "mend":
            (self.folder / "dvc.lock").write_text(CUT_OFF)
        output = self.folder.with_name("output")
        case = {"folder": str(self.folder), "arguments": arguments, "output": str(output), "number": number}
        self.server.stdin.write(json.dumps(case | {"calls": CALLS[what] if what else []}) + "\n")
        self.server.stdin.flush()
        status = int(self.server.stdout.readline())
        return Ended(status, *(output.with_suffix(f".{name}").read_text() for name in ("stdout", "stderr")))

    def expected(self, command: str) -> tuple[Ended, dict[str, bytes], list[str]]:
        """How a command ends on a system that refuses nothing, and what it leaves."""
        if command not in self.clean:
            ended = self.run(example(command))
            assert ended.status == ANSWERS.get(command, 0) or command in self.failing, ended
            self.clean[command] = ended, contents(self.folder), self.stores()
        return self.clean[command]

    def stores(self) -> list[str]:
        return [places(database) for database in sorted(self.folder.glob("*/mlflow.db"))]

    def check(self, command: str, what: str, number: int) -> str:
        """Run a command on a system that refuses something; return its last line.

        Fails unless it ends as it does otherwise, or with one line, and each file is what it was or was to be.
        """
        expected, left, stores = self.expected(command)
        ended = self.run(example(command), what, number)
        lines = ended.stderr.splitlines()
        others = [line for line in lines if not BESIDE.match(line)]
        if others == [line for line in expected.stderr.splitlines() if not BESIDE.match(line)]:
            assert (ended.status, masked(ended.stdout)) == (expected.status, masked(expected.stdout)), ended
        elif ended.status == 3 and command == "predict":
            assert all(map(UNREADABLE.match, others)), ended.stderr
            left = left | {OUTPUT: (self.folder / OUTPUT).read_bytes()}
        else:
            assert ended.status in (1, 2), ended
            assert [line[:7] for line in others] == ["error: "], ended.stderr
        before = self.before[0] | ({"dvc.lock": CUT_OFF.encode()} if command == "mend" else {})
        for name, content in contents(self.folder).items():
            assert content in (before.get(name), left.get(name)), f"{name} is neither what it was nor what it was to be"
        assert self.stores() in (stores, self.before[1])
        return lines[-1] if lines else "succeeds all the same"


def example(command: str) -> list[str]:
    """The arguments of the first example in a command's help, or others."""
    if command in ARGUMENTS:
        return [command, *ARGUMENTS[command]]
    text = main.get_command(None, command).help
    return shlex.split(re.search(rf"^ *pipeline ({command}\b[^&|>\n]*)", text, re.MULTILINE)[1])


def copy(source: str, target: str) -> None:
    """Copy what may be written in place, and link the rest, which is replaced."""
    name = Path(source).name
    (shutil.copyfile if name.startswith(("mlflow.db", "dvc.lock")) or ".dvc/tmp" in source else os.link)(source, target)


def contents(folder: Path) -> dict[str, bytes]:
    """The files of a workspace, but for those that say that a process is, or was, at work."""
    files = [path for path in folder.rglob("*") if path.is_file() and not path.name.startswith(PASSING)]
    found = {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}
    # `tempfile` tries whether a folder can be written to by such a file, and leaves it where nothing is deleted.
    theirs = (".dvc/tmp/", ".git/", "mlruns/")  # MLflow's store is not compared by its bytes
    return {name: content for name, content in found.items() if content != b"blat" and not name.startswith(theirs)}


def places(database: Path) -> str:
    """What a database that is sound says of where its files are."""
    with contextlib.closing(sqlite3.connect(database)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        return str([connection.execute(f"SELECT {column} FROM {table}").fetchall() for column, table in COLUMNS])  # noqa: S608


def masked(text: str) -> str:
    """The text without numbers and ids, which may differ each time, and without why git is not asked for a commit."""
    return re.sub(r"[0-9a-f]{32}|\d{2,}", "N", re.sub(r" \(git does not start: [^)]*\)", "", text))


@pytest.fixture(scope="module")
def place(tmp_path_factory, checked, database) -> Iterator[Place]:
    """One with two champions, one after the other, pictures, a model, and a store that was moved."""
    folder = tmp_path_factory.mktemp("refusals") / "project"
    (folder / "mlruns").mkdir(parents=True)
    shutil.copy(database, folder / "mlruns")
    repository(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.delenv(environment.TRACKING, raising=False)
        tracking.connect(checked)
        client = MlflowClient()
        client.create_registered_model(MODEL)
        for number in (1, 2, 3):
            client.create_model_version(MODEL, f"/nowhere/{number}")
        for version in ("1", "2"):
            promotion.enter(MODEL, "promote", version, "a test", promotion.settle(MODEL))
    (folder / "moved").mkdir()
    with sqlite3.connect(folder / "mlruns/mlflow.db") as source, sqlite3.connect(folder / "moved/mlflow.db") as copied:
        source.backup(copied)
    tiny.onnx_model(folder / "tiny.onnx")
    for path in ("cat.png", "photos/dog.png"):
        (folder / path).parent.mkdir(exist_ok=True)
        Image.new("RGB", (40, 30), "red").save(folder / path)
    for path in (Path("dvc.lock"), paths.LOCK_KEPT):
        (folder / path).parent.mkdir(exist_ok=True)
        (folder / path).write_text(LOCKED)
    folder.rename(folder.with_name("pristine"))
    with serving(folder.with_name("pristine"), database) as found:
        yield found


@pytest.fixture(scope="module")
def deep(small, tmp_path_factory, database) -> Iterator[Place]:
    """One in which the graph was run."""
    folder = tmp_path_factory.mktemp("deep") / "project"
    shutil.copytree(small.folder, folder, symlinks=True, ignore=shutil.ignore_patterns("cache"))
    (folder / ".dvc/cache").symlink_to(small.folder / ".dvc/cache")
    relocate.relocate(folder / "mlruns")  # a copy is one that was moved
    folder.rename(folder.with_name("pristine"))
    with serving(folder.with_name("pristine"), database) as found:
        yield found


@contextlib.contextmanager
def serving(pristine: Path, database: Path) -> Iterator[Place]:
    left_out = (environment.TRACKING, "CIFAR10_DATA", "CIFAR10_WEIGHTS")
    variables = {key: value for key, value in os.environ.items() if key not in left_out}
    path = os.pathsep.join([str(pristine), str(ROOT)])  # a workspace runs the code that it has
    variables |= {"PYTHONPATH": path, "WARM": str(database), "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0"}
    command = [sys.executable, "-m", "tests.refusing"]
    streams = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, cwd=pristine.parent, env=variables, **streams) as server:
        assert server.stdout.readline() == "ready\n"
        yield Place(pristine, server)
        server.stdin.close()


def named(case: Case) -> str:
    command, what, number = case
    return f"{command}, {what}: {os.strerror(number)}"


COMMANDS = sorted(MODULES)
ANSWERS = {"offline": 1}  # that something is missing
FAIL_HERE = {"lineage", "restore", "serve"}  # in a workspace without models: that they say so proves little
ALL = [(command, what, number) for command in COMMANDS for what, number in REFUSED]
# Of each kind of call every second error, each met by one command, and each command by several.
SUCCEED = [command for command in COMMANDS if command not in FAIL_HERE]
SOME = [(SUCCEED[index % len(SUCCEED)], *refusal) for index, refusal in enumerate(REFUSED[::2])]


@pytest.mark.fault("a system that refuses", chapter="surroundings")
@pytest.mark.parametrize("case", SOME, ids=named)
def test_a_refusal_is_one_line_and_leaves_no_half_written_file(case, place, record_property):
    record_property("seen", place.check(*case).replace(str(place.folder.parent), ""))


@pytest.mark.slow
@pytest.mark.parametrize("case", [case for case in ALL if case not in SOME], ids=named)
def test_every_command_meets_every_refusal(case, place):
    place.check(*case)


@pytest.mark.slow
@pytest.mark.parametrize("case", [case for case in ALL if case[0] in ("history", "lineage", "restore")], ids=named)
def test_commands_meet_every_refusal_where_there_is_much_to_read(case, deep):
    deep.check(*case)
