"""Every command in README and docs/ is run, as printed, by bash. Each section starts in a workspace of its own.

Nothing of the reader's environment is there but Python, make and git: the workspace has an environment in .venv, as
`make` would have made it, which borrows this one's packages, and has the workspace's code installed.
"""

import os
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
import sysconfig
from pathlib import Path

import mlflow
import pytest
import yaml

from pipeline.recovery import relocate
from pipeline.registry import promotion, versions
from pipeline.tracking import logged_models
from tests import reading
from tests.conftest import ROOT
from tests.workspace import Workspace
from tools.screenshot import answered

SECTIONS = [section for page in reading.PAGES for section in reading.sections(page) if section.blocks]
MODEL = "cifar10-classifier"

# What ends with Ctrl-C only: its usual port, and where it says that it is ready.
SERVERS = {"make ui": ("5000", "/health"), "make serve": ("5001", "/ready"), "mlflow server": ("5000", "/health")}
# What no test runs, and why; of `make` it is seen what it would do. test_params.py lays the profiles over params.yaml.
NOT_RUN = {
    "make smoke": "the whole graph for all networks, which test_end_to_end.py runs",
    "make test": "would run itself",
    "make slow": "the same",
    "make lint": "CI runs it beside the tests",
    "make drill": "minutes; the tests that are marked as faults are part of it",
    "make fuzz": "minutes; `make test` tries fewer cases",
    "make bench": "an hour, and PyTorch is installed for it",
    "make audit": "asks a server",
    "pipeline serve": "`make serve` runs it",
    "python -m drills.gate": "minutes",
    "python -m pipeline.stages STAGE": "`dvc repro` runs it for each stage",
    "dvc dag": "`make readme` runs it",
    "dvc exp run -S profile=cnn94": "a training of 26 epochs",
    "dvc exp run -S profile=gpu": "wants a GPU",
    "git config --global --add safe.directory FOLDER": "changes the user's settings",
    "git fetch --unshallow": "asks a server",
    'git init && git add --all && git commit -m "As downloaded"': "for a folder that is no clone",
    "pip install -e '.[gpu]'": "a GPU's libraries, some gigabytes",
    "pip install -e '.[jax-gpu]'": "the same",
}


class Terminal:
    """Bash, in which commands are typed one after the other, and others in which servers run."""

    def __init__(self, folder: Path, environment: dict[str, str]):
        self.folder, self.environment = folder, environment
        usual = sorted({port for port, _ in SERVERS.values()})
        self.ports, self.servers = dict(zip(usual, free_ports(len(usual)), strict=True)), []
        self.shell = self._open("bash", stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)

    def _open(self, *command: str, **streams) -> subprocess.Popen:
        return subprocess.Popen(
            command, cwd=self.folder, env=self.environment, text=True, start_new_session=True, **streams
        )

    def type(self, command: str) -> str:
        """Type a command and wait for its end; return what it printed. It must succeed."""
        for port, free in self.ports.items():
            command = re.sub(rf"\b{port}\b", free, command)
        # The braces keep variables and folder in this shell; the command reads nothing of what is typed next.
        self.shell.stdin.write(f"{{ {command}\n}} < /dev/null\nstatus=$?; echo; echo END $status\n")
        self.shell.stdin.flush()
        lines = []
        for line in self.shell.stdout:
            if line.startswith("END "):
                assert line == "END 0\n", f"`{command}` fails:\n{''.join(lines)}"
                return "".join(lines)
            lines.append(line)
        raise AssertionError(f"`{command}` ended the shell:\n{''.join(lines)}")

    def serve(self, command: str) -> None:
        """Start a server in a terminal of its own; it must answer."""
        usual, health = SERVERS[reading.name(command)]
        port = self.ports[usual]
        named = re.sub(rf"\b{usual}\b", port, command)
        line = f". .venv/bin/activate; export PORT={port}; exec {named}"
        self.servers.append(self._open("bash", "-c", line))
        answered(f"http://127.0.0.1:{port}{health}", self.servers[-1])

    def close(self) -> None:
        for server in self.servers:
            os.killpg(server.pid, signal.SIGTERM)
            server.wait()
        self.shell.stdin.close()
        self.shell.wait()


def free_ports(count: int) -> list[str]:
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [str(one.getsockname()[1]) for one in held]
    for one in held:
        one.close()
    return ports


@pytest.fixture(scope="module")
def left(small, raw, tmp_path_factory) -> Workspace:
    """What a run left, committed, with a second version that was refused."""
    made = copied(small, tmp_path_factory.mktemp("left") / "clone", raw)
    made.git("add", "--all")
    made.git("commit", "--quiet", "--allow-empty", "-m", "What the run left")
    mlflow.set_tracking_uri(made.store)
    best = made.read("registry.json")["candidate"]
    second = made.run("custom_cnn" if best == "ensemble" else "ensemble")
    version = versions.register(MODEL, logged_models.model_uri(second), "the second best", {"candidate": "another"})
    promotion.enter(MODEL, "refuse", version, "not better", promotion.settle(MODEL))
    return made


def copied(workspace: Workspace, folder: Path, raw: Path) -> Workspace:
    """A copy of a workspace. What DVC has protected is linked."""

    def copy(source: str, target: str) -> None:
        protected = not Path(source).stat().st_mode & stat.S_IWUSR
        (os.link if protected else shutil.copy2)(source, target)

    others = shutil.ignore_patterns(".venv", "config.local")  # the latter has remotes of other tests
    shutil.copytree(workspace.folder, folder, symlinks=True, copy_function=copy, ignore=others)
    relocate.relocate(folder / "mlruns")
    return Workspace(folder, raw)


@pytest.fixture
def terminal(left, raw, tmp_path):
    made = copied(left, tmp_path / "clone", raw)
    install(made.folder)
    folders = [folder for folder in os.environ["PATH"].split(os.pathsep) if Path(folder) != Path(sys.executable).parent]
    light = {"PATH": os.pathsep.join(folders), "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "VIRTUAL_ENV": ""}
    opened = Terminal(made.folder, made.environment | light)
    yield opened
    opened.close()
    shutil.rmtree(tmp_path, ignore_errors=True)


def install(folder: Path) -> None:
    """Make the environment that `make` would make, with this one's packages and the folder's own code."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder / ".venv"], check=True)
    (places,) = (folder / ".venv/lib").glob("python*/site-packages")
    borrowed = dict.fromkeys((str(folder), sysconfig.get_path("purelib"), sysconfig.get_path("platlib")))
    (places / "borrowed.pth").write_text("\n".join(borrowed))
    for program in ("pipeline", "dvc", "mlflow"):
        script = folder / ".venv/bin" / program
        script.write_text(f'#!/bin/sh\nexec "{folder}/.venv/bin/python" -m {program} "$@"\n')
        script.chmod(0o755)
    (folder / ".venv/.installed").touch()  # newer than requirements.lock, so that make has nothing to install


@pytest.mark.slow
@pytest.mark.parametrize("section", SECTIONS, ids=str)
def test_the_commands_of_a_section_work(section, terminal):
    if section.title != SECTIONS[0].title:  # before which there is no environment
        terminal.type(". .venv/bin/activate")
    for language, text in section.blocks:
        if language == "console":
            for command in reading.commands(text):
                follow(command, terminal)
        elif language == "python" and text.startswith("# pipeline/"):
            (terminal.folder / text.partition("\n")[0].removeprefix("# ")).write_text(text)
        elif language == "python":
            terminal.type(f"python - <<'END'\n{text}\nEND")
        elif language == "yaml":
            add_model(terminal.folder / "params.yaml", text)
        else:
            assert language in ("mermaid", "text"), f"what is to be done with {language}?"


def follow(command: str, terminal: Terminal) -> None:
    if reading.name(command) in SERVERS:
        if reading.name(command) == "mlflow server":
            leave_something_to_do(terminal.folder / "params.yaml")
        terminal.serve(command)
    elif command not in NOT_RUN:
        terminal.type(command)
    elif command.startswith("make "):
        terminal.type(command.replace("make", "make --dry-run", 1))


def add_model(params: Path, text: str) -> None:
    """Add an entry as a reader does, below `models:`."""
    whole = (ROOT / "params.yaml").read_text()  # the small workspace's has lost its comments and its layout
    assert set(yaml.safe_load(text)) < set(
        yaml.safe_load(whole.replace("\nmodels:\n", f"\nmodels:\n{text}\n"))["models"]
    )
    tree = yaml.safe_load(params.read_text())
    tree["models"] |= yaml.safe_load(text)
    params.write_text(yaml.safe_dump(tree, sort_keys=False))


def leave_something_to_do(params: Path) -> None:
    """Change what only the registry's stage reads, so that the team's server is told of a decision."""
    tree = yaml.safe_load(params.read_text())
    tree["gate"]["resamples"] = 1000
    params.write_text(yaml.safe_dump(tree, sort_keys=False))


def test_what_is_not_run_is_in_the_pages_and_what_is_mentioned_is_run():
    typed = {command for section in SECTIONS for command in section.commands}
    told = {command for page in reading.PAGES for command in reading.mentioned(page)}
    assert NOT_RUN.keys() <= typed | told
    known = {reading.name(command) for command in typed | NOT_RUN.keys()}
    assert {command for command in told if reading.name(command) not in known} == set()


def test_every_link_leads_somewhere():
    for page in reading.PAGES:
        for link in reading.links(page):
            if not link.startswith("https://"):
                place, _, anchor = link.partition("#")
                target = page.parent / place if place else page
                assert target.exists(), f"{page.name}: {link}"
                assert not anchor or anchor in reading.anchors(target), f"{page.name}: {link}"


def test_make_lists_every_target():
    targets = set(re.search(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)[1].split())
    listed = subprocess.run(
        ["make", "--no-print-directory", "help"], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout
    assert {line.split()[1] for line in listed.splitlines()} == targets
