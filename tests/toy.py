"""A small project with the real one's params, profiles and DVC settings, and a foreign repository."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from tools import smoke

ROOT = Path(__file__).parents[1]
COPIED = ("params.yaml", "conf", ".dvc/config", ".gitattributes", "Makefile")
PATH = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"


def project(folder: Path, **files: str) -> Path:
    """Make a repository in `folder` with the COPIED files and these; return it."""
    for name in COPIED:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (shutil.copytree if (ROOT / name).is_dir() else shutil.copy)(ROOT / name, folder / name)
    for name, text in ({".gitignore": "/.smoke/\n/.venv\n"} | files).items():
        (folder / name).write_text(text)
    return committed(folder)


def committed(folder: Path, message: str = "The project") -> Path:
    """Commit all that is in `folder` to its own repository, which is made if there is none."""
    git(folder, "init", "--quiet", "--initial-branch=main")
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "-m", message)
    return folder


def foreign(folder: Path) -> Path:
    """Make another's repository, with a commit and a change that is staged; return it."""
    folder.mkdir()
    (folder / "theirs.txt").write_text("theirs\n")
    committed(folder, "Theirs")
    (folder / "staged.txt").write_text("staged\n")
    git(folder, "add", "staged.txt")
    return folder


def git(folder: Path, *arguments: str) -> str:
    """What git prints, with an identity, and without the user's hooks."""
    return subprocess.run([*smoke.GIT, *arguments], cwd=folder, check=True, capture_output=True, text=True).stdout


def content(folder: Path) -> dict[str, bytes]:
    """All files in a folder, byte for byte."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def python(cwd: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess:
    """Run this Python with the project's code, and these variables beside what a user has."""
    variables = os.environ | {"PYTHONPATH": str(ROOT), "PATH": PATH} | environment
    return subprocess.run([sys.executable, *arguments], cwd=cwd, env=variables, capture_output=True, text=True)
