"""What others do to the registry in MLflow itself is named, entered in the history, and stepped over."""

import json
from collections.abc import Callable

import mlflow
import pytest
from click.testing import CliRunner, Result
from mlflow import MlflowClient
from mlflow.tracking._tracking_service.utils import _get_store

from pipeline.cli import history, promote, rollback
from pipeline.core.errors import UserError
from pipeline.registry import exports, journal, promotion, versions
from pipeline.registry.standing import Standing
from tests.registry.test_exports import candidates, parents  # noqa: F401  fixtures
from tests.registry.test_versions import MODEL, state, three  # noqa: F401  a fixture

pytestmark = pytest.mark.usefixtures("store")
CHAPTER = "surroundings"


def act(action: str, version: str) -> None:
    promotion.enter(MODEL, action, version, "a test", promotion.settle(MODEL))


@pytest.fixture
def reigning(three) -> None:  # noqa: F811
    """Versions 1, 2 and 3, of which each was champion; the last one is."""
    for version in three:
        act("promote", version)


def told() -> list[tuple[str, str | None, str | None]]:
    return [(entry["action"], entry["from"], entry["to"]) for entry in journal.read(MODEL)]


def command(called, *arguments: str) -> Result:
    result = CliRunner().invoke(called.command, arguments)
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def set_alias(version: str, alias: str = "champion") -> None:
    MlflowClient().set_registered_model_alias(MODEL, alias, version)


def set_stage(version: str, stage: str = "Production") -> None:
    alone = stage != "Archived"
    MlflowClient().transition_model_version_stage(MODEL, version, stage, archive_existing_versions=alone)


@pytest.mark.fault("the champion's version, deleted in MLflow, and then", chapter=CHAPTER)
@pytest.mark.parametrize(("then", "left"), [("promote", "1"), ("rollback", "2")])
@pytest.mark.usefixtures("reigning")
def test_without_the_champions_version_another_can_be_promoted(then, left, capfd, record_property):
    MlflowClient().delete_model_version(MODEL, "3")
    seen = command(history)
    assert "note: gone from MLflow: version 3\n" in seen.stderr
    assert told() == [("promote", None, "1"), ("promote", "1", "2"), ("promote", "2", "3")]  # reading writes nothing
    if then == "promote":
        result = command(promote, "1", "--why", "it is left")
        assert result.stdout == f"{MODEL} version 1 is champion; before it was none\n"
    else:
        result = command(rollback, "--why", "it is left")
    assert f"note: {MODEL}: version 3, the champion, is gone from MLflow\n" in result.stderr
    assert told()[3:] == [("gone", "3", None), (then, None, left)]
    assert state()[1] == {"champion": left}
    assert state()[0][left] == "Production"
    record_property("seen", result.stderr)


@pytest.mark.fault("an earlier champion's version, deleted in MLflow", chapter=CHAPTER)
@pytest.mark.usefixtures("reigning")
def test_a_rollback_steps_over_what_was_deleted():
    MlflowClient().delete_model_version(MODEL, "2")
    assert promotion.rollback(MODEL, None, "worse") == "1"
    with pytest.raises(UserError, match="version 2 was never champion"):
        promotion.rollback(MODEL, "2", "the one before")


@pytest.mark.fault(
    "a registered model, deleted and made again in MLflow, so that its numbers mean others", chapter=CHAPTER
)
@pytest.mark.usefixtures("reigning")
def test_another_version_of_the_same_number_is_not_champion():
    client = MlflowClient()
    client.delete_registered_model(MODEL)
    client.create_registered_model(MODEL)
    again = [str(client.create_model_version(MODEL, f"/elsewhere/{number}").version) for number in range(3)]
    assert again == ["1", "2", "3"]
    assert promotion.champion(MODEL) is None
    promotion.settle(MODEL)
    assert state() == (dict.fromkeys(again, "None"), {})
    for version in (None, "3", "2"):
        with pytest.raises(UserError, match=r"had no champion before|was never champion"):
            promotion.rollback(MODEL, version, "the number was")
    act("promote", "3")
    assert told()[3:] == [("gone", "3", None), ("promote", None, "3")]
    assert state()[1] == {"champion": "3"}


MOVED = {
    "the alias": (lambda: set_alias("1"), "version 1 was made champion in MLflow; before it was 3", "1"),
    "the stage": (lambda: set_stage("1"), "version 1 was made champion in MLflow; before it was 3", "1"),
    "both, the champion being deleted": (
        lambda: (MlflowClient().delete_model_version(MODEL, "3"), set_alias("1"), set_stage("1")),
        "version 1 was made champion in MLflow; before it was 3",
        "1",
    ),
    "both, taken away": (
        lambda: (MlflowClient().delete_registered_model_alias(MODEL, "champion"), set_stage("3", "Archived")),
        "alias and stage of version 3, the champion, were taken away in MLflow",
        None,
    ),
}


@pytest.mark.fault("moved in MLflow", chapter=CHAPTER)
@pytest.mark.parametrize("what", MOVED)
@pytest.mark.usefixtures("reigning")
def test_who_was_made_champion_in_mlflow_is_champion_and_it_is_said_and_kept(what, capfd, record_property):
    move, why, champion = MOVED[what]
    move()
    promotion.settle(MODEL)
    promotion.settle(MODEL)  # again adds nothing
    assert capfd.readouterr().err == f"note: {MODEL}: {why}\n"
    assert told()[3:] == [("adopt", "3", champion)]
    assert journal.read(MODEL)[3]["why"] == why
    stages, aliases = state()
    assert aliases == ({"champion": champion} if champion else {})
    assert [version for version, stage in stages.items() if stage == "Production"] == ([champion] if champion else [])
    assert promotion.rollback(MODEL, None, "it was a slip") == ("2" if "deleted" in what else "3")
    record_property("seen", why)


PUT_BACK: dict[str, Callable[[], object]] = {
    "the champion's alias, deleted": lambda: MlflowClient().delete_registered_model_alias(MODEL, "champion"),
    "the champion's stage, taken away": lambda: set_stage("1", "Archived"),
    "another version, put into Production beside it": lambda: MlflowClient().transition_model_version_stage(
        MODEL, "3", "Production"
    ),
    "the challenger's alias, moved": lambda: set_alias("3", "challenger"),
    "another version, put into Staging": lambda: set_stage("3", "Staging"),
}


@pytest.mark.fault("in MLflow", chapter=CHAPTER)
@pytest.mark.parametrize("what", PUT_BACK)
def test_marks_that_make_no_other_version_champion_are_put_back_and_it_is_said_and_kept(what, three, capfd):  # noqa: F811
    act("promote", "1")
    act("refuse", "2")
    PUT_BACK[what]()
    shown = command(history).stderr
    assert shown.count("note: ") == shown.count(" by the history at ") >= 1
    promotion.settle(MODEL)
    promotion.settle(MODEL)
    said = capfd.readouterr().err
    assert (said.count("\n"), said.count("marks that were moved in MLflow are put back: ")) == (1, 1)
    assert told()[2:] == [("keep", "1", "1")]
    stages, aliases = state()
    assert aliases == {"champion": "1", "challenger": "2"}
    assert {version: stages[version] for version in ("1", "2")} == {"1": "Production", "2": "Staging"}
    assert promotion.settle(MODEL).previous() is None


def test_a_store_in_which_no_one_recorded_that_marks_followed_is_put_in_step_and_it_is_said(three, capfd):  # noqa: F811
    act("promote", "1")
    MlflowClient().delete_tag(journal.begin(MODEL), journal.FOLLOWED)
    set_alias("2")
    promotion.settle(MODEL)
    assert "alias champion is at 2, by the history at 1: it is put there" in capfd.readouterr().err
    assert state()[1] == {"champion": "1"}


@pytest.mark.fault("the whole registered model, deleted in MLflow", chapter=CHAPTER)
@pytest.mark.usefixtures("reigning")
def test_without_the_registered_model_a_new_one_begins_and_the_history_goes_on():
    MlflowClient().delete_registered_model(MODEL)
    assert "gone from MLflow: version 1, 2, 3" in command(history).stderr
    assert len(json.loads(command(history, "--json").stdout)) == 3
    for attempt in (lambda: act("promote", "3"), lambda: promotion.rollback(MODEL, None, "back")):
        with pytest.raises(UserError, match=r"has no version 3; it has none|had no champion before"):
            attempt()
    with pytest.raises(UserError, match="the store has no version"):
        versions.resolve(MODEL, "@champion")
    MlflowClient().create_registered_model(MODEL)
    MlflowClient().create_model_version(MODEL, "/new")
    act("promote", "1")
    assert told()[3:] == [("gone", "3", None), ("promote", None, "1")]
    assert state() == ({"1": "Production"}, {"champion": "1"})


@pytest.mark.fault("the history, deleted in MLflow: its", chapter=CHAPTER)
@pytest.mark.parametrize("what", ["run", "experiment"])
@pytest.mark.usefixtures("reigning")
def test_a_deleted_history_is_read_and_restored_by_the_next_change(what, capfd):
    run = MlflowClient().get_run(journal.begin(MODEL))
    if what == "run":
        MlflowClient().delete_run(run.info.run_id)
    else:
        MlflowClient().delete_experiment(run.info.experiment_id)
    seen = command(history)
    assert seen.stdout.count("promote") == 3
    assert "note: the history was deleted in MLflow: the next change of the registry restores it" in seen.stderr
    act("promote", "1")
    assert f"the history of {MODEL} was deleted in MLflow, and is restored" in capfd.readouterr().err
    assert [entry[2] for entry in told()] == ["1", "2", "3", "1"]
    assert (journal.begin(MODEL), journal.look(MODEL).deleted) == (run.info.run_id, False)


@pytest.mark.fault("the history, deleted in MLflow for good: its", chapter=CHAPTER)
@pytest.mark.parametrize("what", ["run", "run, and the experiment deleted"])
@pytest.mark.usefixtures("reigning")
def test_without_its_history_a_model_begins_a_new_one_at_the_alias(what, capfd):
    run = MlflowClient().get_run(journal.begin(MODEL))
    _get_store()._hard_delete_run(run.info.run_id)  # as `mlflow gc` does
    if "experiment" in what:
        MlflowClient().delete_experiment(run.info.experiment_id)
    assert "nothing was promoted yet" in command(history).stdout
    act("promote", "1")
    assert f"the history of {MODEL} was deleted in MLflow for good: a new one begins" in capfd.readouterr().err
    assert told() == [("promote", "3", "1")]
    assert promotion.rollback(MODEL, None, "back") == "3"


def state_of_edge() -> str | None:
    return Standing.of(MODEL).aliases.get(versions.EDGE)


@pytest.mark.fault("the edge model's version, and then the whole registered model, deleted in MLflow", chapter=CHAPTER)
def test_the_edge_model_is_registered_again(candidates):  # noqa: F811
    made = {"model": MODEL, "candidate": "mobilenetv2", "description": "small", "tags": {"candidate": "mobilenetv2"}}
    exports.register(made)
    client = MlflowClient()
    for delete in (lambda: client.delete_model_version(MODEL, "1"), lambda: client.delete_registered_model(MODEL)):
        delete()
        assert state_of_edge() is None
        version = exports.register(made)
        assert state_of_edge() == version


@pytest.mark.fault("the run of a registered version, deleted in MLflow", chapter=CHAPTER)
def test_a_version_whose_run_was_deleted_can_be_promoted_and_left(candidates):  # noqa: F811
    for name, run in candidates.items():
        exports.register({"model": MODEL, "candidate": name, "description": "", "tags": {"candidate": name}})
        mlflow.delete_run(run.info.run_id)
    act("promote", "1")
    act("promote", "2")
    assert promotion.rollback(MODEL, None, "back") == "1"
    assert versions.resolve(MODEL, "@champion").run_id == candidates["custom_cnn"].info.run_id
