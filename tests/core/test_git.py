"""git, asked in repositories that are sound, empty, shallow, damaged, or somebody else's."""

import os
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from pipeline.core import git
from pipeline.core.errors import UserError
from pipeline.lineage import files
from pipeline.tracking import provenance
from tests import toy
from tests.conftest import repository

COMMIT = ["commit", "--quiet", "-m", "A commit"]


def run(*arguments: str, folder: Path | str = ".") -> str:
    return toy.git(Path(folder), *arguments).strip()


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch) -> Path:
    """An empty folder, in which git has no settings of anyone."""
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "gitconfig"))
    monkeypatch.setenv("GIT_CONFIG_SYSTEM", os.devnull)
    (tmp_path / "project").mkdir()
    monkeypatch.chdir(tmp_path / "project")
    return tmp_path


@pytest.fixture
def sound(place) -> str:
    """The folder is a repository; returns its only commit."""
    run("init", "--quiet")
    Path("params.yaml").write_text("seed: 0\n")
    run("add", "--all")
    run(*COMMIT)
    return run("rev-parse", "HEAD")


def test_the_commit_is_told_and_whether_code_differs_from_it(sound):
    assert git.state() == (sound, False)
    Path("notes.txt").write_text("no code\n")
    assert git.state() == (sound, False)
    Path("params.yaml").write_text("seed: 1\n")
    assert git.state() == (sound, True)
    assert provenance.git() == {"git.commit": sound, "git.changed": "true"}


def test_a_new_network_differs_also_where_the_users_settings_hide_new_files(sound):
    run("config", "status.showUntrackedFiles", "no")
    Path("pipeline/models").mkdir(parents=True)
    Path("pipeline/models/x.py").touch()
    assert git.state() == (sound, True)


def test_a_worktree_a_folder_below_and_no_branch_are_sound(sound, place, monkeypatch):
    run("config", "log.showSignature", "true")
    run("worktree", "add", "--quiet", "--detach", str(place / "other"))
    monkeypatch.chdir(place / "other")
    assert git.state() == (sound, False)
    (place / "other/below").mkdir()
    monkeypatch.chdir(place / "other/below")
    assert git.state() == (sound, False)


def test_asking_writes_nothing(sound):
    os.utime("params.yaml", (0, 0))  # or `git status` would write into the index what it found out
    before = Path(".git/index").read_bytes()
    assert git.state() == (sound, False)
    assert Path(".git/index").read_bytes() == before


@pytest.mark.parametrize("repository", [True, False])
def test_where_there_is_no_commit_results_name_none_which_is_said_once(repository):
    if repository:
        run("init", "--quiet")
    code = "from pipeline.tracking import provenance\nfor _ in range(2):\n    print(provenance.git())"
    ended = toy.python(Path(), "-c", code)
    assert ended.stdout == "{'git.commit': 'none', 'git.changed': 'true'}\n" * 2, ended.stderr
    why = "nothing is committed yet" if repository else "this folder is no git repository"
    assert ended.stderr == f"warning: {why}: the results name no commit; `git commit` before you run\n"


def test_dvc_demands_a_repository_unless_its_settings_say_otherwise():
    repository(Path.cwd())
    Path("dvc.yaml").write_text("stages: {made: {cmd: 'true', params: [seed]}}")
    Path("params.yaml").write_text("seed: 0\n")
    made_of = {"deps": {}, "params": {"seed": 0}}
    assert provenance.inputs("made") == made_of
    Path(".dvc/config").write_text("")
    for ask in (provenance.inputs, lambda stage: list(files.verify([stage], 0))):
        with pytest.raises(UserError, match=r"^/\S+ is not a git repository: `git init` makes one, as DVC wants it"):
            ask("made")
    run("init", "--quiet")
    assert provenance.inputs("made") == made_of
    with pytest.raises(UserError, match=r"DVC cannot say what nothing is made of: "):
        provenance.inputs("nothing")


def program(place: Path, monkeypatch, text: str) -> None:
    """Make `git` this shell script."""
    (place / "bin").mkdir()
    (place / "bin/git").write_text(f"#!/bin/sh\n{text}\n")
    (place / "bin/git").chmod(0o755)
    monkeypatch.setenv("PATH", str(place / "bin"))


def moved(place: Path, monkeypatch) -> None:
    run("worktree", "add", "--quiet", str(place / "other"))
    (place / "project").rename(place / "elsewhere")
    monkeypatch.chdir(place / "other")


def within_another(place: Path, monkeypatch) -> None:
    """Around the folder is a sound repository, of which git must not speak."""
    run("init", "--quiet", folder=place)
    run(*COMMIT, "--allow-empty", folder=place)
    shutil.rmtree(".git")
    Path(".git").mkdir()


def without_its_commit(place: Path, monkeypatch) -> None:
    commit = run("rev-parse", "HEAD")
    Path(".git/objects", commit[:2], commit[2:]).unlink()


DAMAGE = {
    "a checkout of another user": lambda place, patch: patch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1"),
    "no HEAD": lambda place, patch: Path(".git/HEAD").unlink(),
    "a HEAD of zeros": lambda place, patch: Path(".git/HEAD").write_bytes(bytes(24)),
    "a branch that is no commit": lambda place, patch: next(Path(".git/refs/heads").iterdir()).write_text("1234\n"),
    "an index of no bytes": lambda place, patch: Path(".git/index").write_bytes(b""),
    "settings cut off": lambda place, patch: Path(".git/config").write_text("[core"),
    "a bare repository": lambda place, patch: run("config", "core.bare", "true"),
    "no object of the commit": without_its_commit,
    "an empty .git within another repository": within_another,
    "a .git that leads nowhere": lambda place, patch: (shutil.rmtree(".git"), Path(".git").symlink_to("nowhere")),
    "a worktree whose repository moved": moved,
    "a git that is killed": lambda place, patch: program(place, patch, "kill -9 $$"),
    "a git that is too old": lambda place, patch: program(place, patch, "echo unknown option: $1 >&2; exit 129"),
    "a git that says nothing": lambda place, patch: program(place, patch, "exit 1"),
    "no git": lambda place, patch: patch.setenv("PATH", str(place)),
}


@pytest.mark.fault("git fails", chapter="surroundings")
@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_a_git_that_fails_is_told_in_its_own_words(damage, sound, place, monkeypatch, record_property):
    damage(place, monkeypatch)
    with pytest.raises(UserError, match=r"`git (status|log)` failed: .+|git is not on the PATH: install it") as caught:
        git.state()
    record_property("seen", str(caught.value).replace(str(place), ""))


def test_the_remedy_is_named_and_helps(sound, place, monkeypatch):
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    with pytest.raises(UserError, match="detected dubious ownership") as caught:
        git.state()
    (remedy,) = str(caught.value).split("call: ")[1:]
    assert remedy == f"git config --global --add safe.directory {Path.cwd()}"
    subprocess.run(remedy.split(), check=True)
    assert git.state() == (sound, False)


def test_a_killed_git_is_told_by_its_signal(sound, place, monkeypatch):
    program(place, monkeypatch, "kill -9 $$")
    with pytest.raises(UserError, match=f"`git status` failed: it ended with status -{signal.SIGKILL:d}: mend the"):
        git.state()


@pytest.mark.parametrize("stage", ["download", "train custom_cnn", "summary"])
def test_a_stage_says_it_in_one_line_before_any_work(stage, sound, place, run_stage):
    before = sorted(Path().iterdir())
    ended = run_stage(*stage.split(), cwd=Path.cwd(), GIT_TEST_ASSUME_DIFFERENT_OWNER="1")
    assert (ended.returncode, ended.stdout, ended.stderr.count("\n")) == (1, "", 1), ended.stderr
    assert ended.stderr.startswith("error: `git status` failed: fatal: detected dubious ownership in repository")
    assert sorted(Path().iterdir()) == before


def test_a_commit_that_a_shallow_clone_lacks_is_said_with_the_remedy_which_helps(sound, place, monkeypatch):
    run(*COMMIT, "--allow-empty")
    assert git.explain_missing(sound) is None
    run("clone", "--quiet", "--depth=1", f"file://{Path.cwd()}", str(place / "shallow"))
    monkeypatch.chdir(place / "shallow")
    assert git.explain_missing(sound) == "not in this shallow clone: `git fetch --unshallow`"
    assert git.explain_missing("0" * 40) == "not in this shallow clone: `git fetch --unshallow`"
    run("fetch", "--quiet", "--unshallow")
    assert git.explain_missing(sound) is None
    assert git.explain_missing("0" * 40) == "not in this clone: `git fetch`"


@pytest.mark.parametrize("value", ["none", "--help", "HEAD", "", "A" * 40])
def test_what_is_no_commit_is_not_looked_for(value, sound):
    assert git.explain_missing(value) is None


def test_a_git_that_fails_keeps_nobody_from_reading_results(sound, monkeypatch):
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    assert "dubious ownership" in git.explain_missing(sound)
    shutil.rmtree(".git")
    assert git.explain_missing(sound) is None


def test_who_works_here_is_gits_user_or_else_the_systems(sound, monkeypatch):
    monkeypatch.setenv("LOGNAME", "the system's")
    assert git.user() == "the system's"
    run("config", "user.name", "Ada")
    assert git.user() == "Ada"
    Path(".git/config").write_text("[user")
    with pytest.raises(UserError, match="`git config` failed: fatal: bad config line"):
        git.user()
