"""The program `pipeline` as a user's shell starts it."""

import os
import pty
import subprocess
import sys
from pathlib import Path

from tests.conftest import ROOT

PROGRAM = [sys.executable, "-m", "pipeline"]
ENVIRONMENT = {name: value for name, value in os.environ.items() if name not in ("MLFLOW_TRACKING_URI", "NO_COLOR")}
ENVIRONMENT |= {"PYTHONPATH": str(ROOT), "COLUMNS": "80", "TERM": "xterm"}


def pipeline(*arguments: str | Path, cwd: Path = ROOT, **environment: str) -> subprocess.CompletedProcess:
    variables = ENVIRONMENT | environment
    return subprocess.run([*PROGRAM, *arguments], cwd=cwd, env=variables, capture_output=True, text=True)


def on_a_terminal(*arguments: str | Path, cwd: Path = ROOT, **environment: str) -> tuple[int, str]:
    """Exit status, and what stands on the terminal, of 80 columns, that a user would have."""
    own, given = pty.openpty()
    subprocess.run(["stty", "cols", "80", "rows", "24"], stdin=given, check=True)
    terminal = {"stdin": given, "stdout": given, "stderr": given}
    process = subprocess.Popen([*PROGRAM, *arguments], cwd=cwd, env=ENVIRONMENT | environment, **terminal)
    os.close(given)
    shown = b""
    try:
        while part := os.read(own, 65_536):
            shown += part
    except OSError:  # the program has ended
        pass
    os.close(own)
    return process.wait(), shown.decode()
