"""Versions, champion, challenger and their history, in a real SQLite store in a temporary folder."""

import os
import signal
import subprocess
import sys

import mlflow
import numpy as np
import pytest
from mlflow import MlflowClient

from pipeline.core.errors import UserError
from pipeline.registry import journal, promotion, versions
from pipeline.tracking import logged_models
from tests import tiny
from tests.conftest import ROOT

MODEL = "cifar10-classifier"


pytestmark = pytest.mark.usefixtures("store")


@pytest.fixture
def three(store) -> list[str]:
    """Three registered versions, none of them champion. What is in them does not matter here."""
    client = MlflowClient()
    client.create_registered_model(MODEL)
    return [str(client.create_model_version(MODEL, f"/nowhere/{number}").version) for number in range(3)]


def promote(version: str) -> str | None:
    return promotion.enter(MODEL, "promote", version, "a test", promotion.settle(MODEL))


def state() -> tuple[dict[str, str], dict[str, str]]:
    """Stage by version, and version by alias."""
    client = MlflowClient()
    stages = {str(found.version): found.current_stage for found in client.search_model_versions(f"name = '{MODEL}'")}
    aliases = client.get_registered_model(MODEL).aliases
    return stages, {alias: str(version) for alias, version in aliases.items()}


def test_a_promoted_model_loads_by_alias_and_by_stage(tmp_path):
    model = tiny.keras_model(tmp_path / "model.keras")
    images = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), "uint8")
    run = MlflowClient().create_run(mlflow.get_experiment_by_name("cifar10").experiment_id)
    uri = logged_models.log(run, tmp_path / "model.keras", images).model_uri
    for _ in range(2):  # the same model again adds no version
        version = versions.register(MODEL, uri, "a description", {"candidate": "tiny"})
        promote(version)
    assert state() == ({"1": "Production"}, {"champion": "1"})
    champion = promotion.champion(MODEL)
    assert (champion.description, champion.tags["candidate"]) == ("a description", "tiny")
    for address in (f"models:/{MODEL}/Production", f"models:/{MODEL}@champion"):
        given = mlflow.pyfunc.load_model(address).predict(images)
        assert given == pytest.approx(model.predict(images, verbose=0), abs=1e-6)


def test_promotion_and_rollback_move_alias_and_stage_together(three):
    for version in three:
        promote(version)
    assert state() == ({"1": "Archived", "2": "Archived", "3": "Production"}, {"champion": "3"})
    assert promotion.rollback(MODEL, None, "worse in use") == "2"
    assert state() == ({"1": "Archived", "2": "Production", "3": "Archived"}, {"champion": "2"})
    assert promotion.rollback(MODEL, None, "worse still") == "1"
    assert promotion.rollback(MODEL, "3", "it was not that bad") == "3"
    assert state()[1] == {"champion": "3"}
    told = [(entry["action"], entry["from"], entry["to"]) for entry in promotion.settle(MODEL).entries]
    assert told == [
        ("promote", None, "1"),
        ("promote", "1", "2"),
        ("promote", "2", "3"),
        ("rollback", "3", "2"),
        ("rollback", "2", "1"),
        ("rollback", "1", "3"),
    ]
    assert all(entry["who"] and entry["why"] and entry["time"] for entry in promotion.settle(MODEL).entries)


def test_a_version_that_reigned_twice_is_rolled_back_to_twice(three):
    for version in ("1", "2", "1", "2"):
        promote(version)
    assert [promotion.rollback(MODEL, None, "worse") for _ in range(3)] == ["1", "2", "1"]
    with pytest.raises(UserError, match="had no champion before"):
        promotion.rollback(MODEL, None, "worse")


def test_a_long_reason_in_any_script_is_cut(three):
    promotion.enter(MODEL, "promote", "1", "\N{SQUARED CJK UNIFIED IDEOGRAPH-7981}" * 5000, promotion.settle(MODEL))
    (entry,) = promotion.settle(MODEL).entries
    assert 100 < len(entry["why"]) < 1000


def test_doing_it_again_changes_nothing_and_is_not_told_twice(three):
    promote("1")
    promotion.enter(MODEL, "refuse", "2", "a tie", promotion.settle(MODEL))
    before = promotion.settle(MODEL).entries
    assert promote("1") == "1"
    promotion.enter(MODEL, "refuse", "2", "a tie", promotion.settle(MODEL))
    promotion.rollback(MODEL, "1", "to the present one")
    assert promotion.settle(MODEL).entries == before


def test_a_refused_version_is_challenger_until_something_else_happens(three):
    promote("1")
    promotion.enter(MODEL, "refuse", "2", "a tie", promotion.settle(MODEL))
    assert state() == ({"1": "Production", "2": "Staging", "3": "None"}, {"champion": "1", "challenger": "2"})
    promotion.enter(MODEL, "refuse", "3", "a tie", promotion.settle(MODEL))
    assert state() == ({"1": "Production", "2": "Archived", "3": "Staging"}, {"champion": "1", "challenger": "3"})
    promote("3")
    assert state() == ({"1": "Archived", "2": "Archived", "3": "Production"}, {"champion": "3"})


@pytest.mark.parametrize(
    ("act", "told"),
    [
        (lambda: promote("9"), "has no version 9; it has 1, 2, 3"),
        (lambda: promotion.rollback(MODEL, None, "why not"), "had no champion before"),
        (lambda: promotion.rollback(MODEL, "2", "why not"), "version 2 was never champion"),
    ],
)
def test_what_cannot_be_is_a_users_error_and_leaves_no_trace(act, told, three):
    promote("1")
    with pytest.raises(UserError, match=told):
        act()
    assert len(promotion.settle(MODEL).entries) == 1
    assert state()[1] == {"champion": "1"}


def test_who_decided_by_an_older_history_is_told(three):
    seen = promotion.settle(MODEL)
    promote("1")
    with pytest.raises(UserError, match=r"changed cifar10-classifier meanwhile \(promote of version 1\)"):
        promotion.enter(MODEL, "promote", "2", "too late", seen)
    assert state()[1] == {"champion": "1"}


IMPORTS = """
from pipeline.core import errors, params
from pipeline.registry import promotion
from pipeline.tracking import store
"""


def script(code: str) -> list[str]:
    return [sys.executable, "-c", IMPORTS + code]


CONNECT = "store.connect(params.load())\n"
ENVIRONMENT = os.environ | {"PYTHONPATH": str(ROOT)}


def test_each_entry_tells_of_the_one_before_it(three):
    for version in ("1", "2", "3"):
        promote(version)
    entries, hashes = journal.read(MODEL), journal.hashes(MODEL)
    assert [entry[journal.BEFORE] for entry in entries] == hashes[:3]
    assert len(set(hashes)) == 4
    assert journal.changed(MODEL) is None


def test_a_first_entry_that_was_written_otherwise_is_found(three, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(journal, "BEFORE", "another key")
        promote("1")
    promote("2")
    assert journal.changed(MODEL) == 1


@pytest.mark.fault("three processes that promote at once")
def test_of_several_who_promote_at_once_one_wins_and_the_others_are_told(three):
    code = CONNECT + (
        f"seen = promotion.settle({MODEL!r})\nprint('ready', flush=True), input()\n"
        "errors.run(lambda: promotion.enter({model!r}, 'promote', '{version}', 'a race', seen))"
    )
    racers = [
        subprocess.Popen(
            script(code.format(model=MODEL, version=version)),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=ENVIRONMENT,
        )
        for version in three
    ]
    for racer in racers:
        assert racer.stdout.readline() == "ready\n"
    for racer in racers:
        racer.stdin.write("\n")
        racer.stdin.flush()
    told = [racer.communicate()[1] for racer in racers]
    won = [version for version, racer in zip(three, racers, strict=True) if racer.returncode == 0]
    assert len(won) == 1
    assert sum("meanwhile" in message for message in told) == 2
    assert [entry["to"] for entry in promotion.settle(MODEL).entries] == won
    stages, aliases = state()
    assert aliases == {"champion": won[0]}
    assert [version for version, stage in stages.items() if stage == "Production"] == won


@pytest.mark.fault("SIGKILL in a promotion, before")
@pytest.mark.parametrize(
    "step", ["search_model_versions", "transition_model_version_stage", "set_registered_model_alias"]
)
def test_what_a_crash_left_undone_is_done_by_the_next_who_looks(step, three):
    """The process dies by SIGKILL when it is about to take the step, the entry being written."""
    promote("1")
    code = CONNECT + (
        "import os, signal\nfrom mlflow import MlflowClient\nfrom pipeline.registry import journal\n"
        "append = journal.append\n"
        "def then_die(*arguments):\n    append(*arguments)\n"
        f"    MlflowClient.{step} = lambda *arguments, **more: os.kill(os.getpid(), signal.SIGKILL)\n"
        "journal.append = then_die\n"
        f"promotion.enter({MODEL!r}, 'promote', '2', 'a crash', promotion.settle({MODEL!r}))"
    )
    result = subprocess.run(script(code), env=ENVIRONMENT, capture_output=True)
    assert result.returncode == -signal.SIGKILL
    assert [entry["to"] for entry in journal.read(MODEL)] == ["1", "2"]
    promotion.settle(MODEL)
    assert state() == ({"1": "Archived", "2": "Production", "3": "None"}, {"champion": "2"})


@pytest.mark.fault("three processes that begin a history at once")
def test_the_first_journal_is_one_also_if_several_begin_it(three):
    code = CONNECT + f"from pipeline.registry import journal\nprint(journal.begin({MODEL!r}))"
    begun = [subprocess.Popen(script(code), stdout=subprocess.PIPE, text=True, env=ENVIRONMENT) for _ in range(3)]
    assert len({process.communicate()[0] for process in begun}) == 1
