"""git, asked about the repository that this is: its answer, or a UserError with its own words.

A git that fails is never taken for an answer. Two states have no commit and are no failure: an unborn branch, in which
DVC works as in others; and no repository, in which DVC refuses to work unless `core.no_scm` says that it is meant.
"""

import getpass
import os
import re
import shutil
import subprocess
from pathlib import Path

from pipeline.core.errors import UserError

CODE = ("pipeline", "conf", "dvc.yaml", "params.yaml")  # with what a result is made
UNBORN = "does not have any commits yet"  # git's words, and for that alone: a damaged branch has no commit, either
REMEDY = "mend the repository (`git fsck`; `git worktree repair` after a move), or work in a fresh clone"


def ask(*arguments: str, accepted_status: int = 0) -> str:
    """Return what `git ARGUMENTS` prints, without its last line end. `accepted_status` is no failure, nor is 0.

    Raises UserError if git fails, with what it says, which names a remedy where git has one (`safe.directory`).
    """
    # If .git is damaged, git shall not look for another above it. English: the text is compared with UNBORN.
    variables = os.environ | {"GIT_CEILING_DIRECTORIES": str((root() or Path.cwd()).parent), "LC_ALL": "C"}
    command = ["git", "--no-optional-locks", *arguments]
    try:
        ended = subprocess.run(command, env=variables, capture_output=True, encoding="utf-8", errors="replace")
    except FileNotFoundError:
        raise UserError("git is not on the PATH: install it first") from None
    except OSError as error:
        raise UserError(f"git does not start: {error.strerror}: look at {shutil.which('git')}") from None
    if ended.returncode not in (0, accepted_status):
        words = ended.stderr.strip() or f"it ended with status {ended.returncode}"  # negative: by a signal
        raise UserError(f"`git {arguments[0]}` failed: {words}{'' if 'git config' in words else f': {REMEDY}'}")
    return ended.stdout.removesuffix("\n")


def root() -> Path | None:
    """Return the next folder, from this one upwards, that has a .git, sound or not; None if there is none."""
    here = Path.cwd()
    return next((folder for folder in (here, *here.parents) if os.path.lexists(folder / ".git")), None)


def state() -> tuple[str | None, bool]:
    """Return the commit that is checked out, None if there is none, and whether CODE differs from it. Raises as `ask`.

    All differs from no commit.
    """
    if root() is None:
        return None, True
    # A new network counts, also for a user whose settings hide new files.
    changed = bool(ask("status", "--porcelain", "--untracked-files=normal", "--", *CODE))
    try:
        return ask("log", "-1", "--format=%H", "--no-show-signature"), changed
    except UserError as error:
        if UNBORN in str(error):
            return None, True
        raise


def user() -> str:
    """Return who works here: git's `user.name`, or the name that the system knows. Raises as `ask`."""
    return ask("config", "user.name", accepted_status=1) or getpass.getuser()


def explain_missing(commit: str) -> str | None:
    """Return why a commit is not to be had here; None if it is, or no repository could have it.

    A git that fails is a reason, too: it keeps nobody from reading results.
    """
    if root() is None or not re.fullmatch("[0-9a-f]{40,64}", commit):
        return None
    try:
        if ask("rev-parse", "--quiet", "--verify", f"{commit}^{{commit}}", accepted_status=1):
            return None
        shallow = ask("rev-parse", "--is-shallow-repository") == "true"
        return "not in this shallow clone: `git fetch --unshallow`" if shallow else "not in this clone: `git fetch`"
    except UserError as error:
        return str(error)
