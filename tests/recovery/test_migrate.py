"""A store of another MLflow is named by who reads or writes, and migrated when that is asked for; a copy is kept."""

import contextlib
import sqlite3
from pathlib import Path

import mlflow
import pytest
from alembic import command
from alembic.script import ScriptDirectory
from click.testing import CliRunner
from mlflow.store.db import utils
from mlflow.store.tracking.dbmodels.initial_models import Base

from pipeline.cli import history, lineage, mend, promote, serve
from pipeline.core import environment
from pipeline.core.environment import REGISTRY, TRACKING
from pipeline.core.errors import UserError
from pipeline.recovery import migrate
from pipeline.serving import load
from pipeline.tracking import store

CHAPTER = "surroundings"
REVISION = "0584bdc529eb"  # of MLflow 2.19  # pragma: allowlist secret
STORE = Path("mlruns/mlflow.db")

pytestmark = pytest.mark.usefixtures("store")


def execute(*statements: str, path: Path = STORE) -> None:
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        for statement in statements:
            connection.execute(statement)


@pytest.fixture(scope="module")
def old(tmp_path_factory) -> Path:
    """The database of a store as MLflow 2.19 makes it, with its experiment."""
    path = tmp_path_factory.mktemp("old") / "mlflow.db"
    engine = utils.create_sqlalchemy_engine(f"sqlite:///{path}")
    Base.metadata.create_all(engine)
    config = utils._get_alembic_config(str(engine.url))
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, REVISION)
    execute(
        "INSERT INTO experiments (experiment_id, name, artifact_location, lifecycle_stage) "
        "VALUES (7, 'kept', '/nowhere', 'active')",
        path=path,
    )
    return path


@pytest.fixture
def older(old) -> bytes:
    """The store is one of MLflow 2.19; return its content."""
    STORE.write_bytes(old.read_bytes())
    return STORE.read_bytes()


def call(called, *arguments: str) -> str:
    """Return what a command prints."""
    result = CliRunner().invoke(called.command, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.stderr
    return result.stdout


ASKED = {
    "history": lambda: call(history),
    "lineage": lambda: call(lineage, "@champion"),
    "predict": lambda: load.load("@champion"),
    "serve": lambda: call(serve, "--port", "0"),
    "promote": lambda: call(promote, "1", "--why", "a test"),
    "a stage": environment.check,
}


@pytest.mark.fault("a store of an older MLflow, asked by", chapter=CHAPTER)
@pytest.mark.parametrize("asked", ASKED)
def test_a_store_of_an_older_mlflow_is_named_and_not_touched(asked, older, record_property):
    with pytest.raises(
        UserError, match=r"mlflow\.db is of an older MLflow than .*: `pipeline mend --migrate`"
    ) as caught:
        ASKED[asked]()
    assert (STORE.read_bytes(), [*STORE.parent.glob("mlflow*")]) == (older, [STORE])
    record_property("seen", str(caught.value))


@pytest.mark.fault("a registry in a file, of an older MLflow", chapter=CHAPTER)
def test_a_registry_of_an_older_mlflow_is_named(old, monkeypatch, tmp_path):
    (tmp_path / "registry.db").write_bytes(old.read_bytes())
    monkeypatch.setenv(REGISTRY, "sqlite:///registry.db")
    with pytest.raises(UserError, match=r"registry\.db is of an older MLflow"):
        environment.check(write=False)


@pytest.mark.fault("a store of an older MLflow, migrated", chapter=CHAPTER)
def test_a_migration_that_is_asked_for_keeps_a_copy(older, checked):
    assert "the copy is " in call(mend, "--migrate")
    (copy,) = STORE.parent.glob("mlflow.2*.db")
    assert copy.read_bytes() == older
    environment.check()
    store.connect(checked, write=False)
    assert mlflow.get_experiment_by_name("kept").experiment_id == "7"
    assert call(mend, "--migrate") == f"{STORE.resolve()}: nothing to migrate\n"


def test_a_store_on_a_server_is_migrated_there(monkeypatch):
    monkeypatch.setenv(TRACKING, "http://127.0.0.1:9")
    with pytest.raises(UserError, match=r"9 is no file: migrate it where it is"):
        call(mend, "--migrate")


@pytest.mark.slow
@pytest.mark.fault("a migration that fails", chapter=CHAPTER)
def test_a_migration_that_fails_leaves_the_store_as_it_was(older, record_property):
    execute("DROP TABLE registered_models")
    before = STORE.read_bytes()
    with pytest.raises(UserError, match=r"cannot migrate .*, which stays as it was: .*NoSuchTableError") as caught:
        migrate.migrate(STORE.resolve())
    assert STORE.read_bytes() == before
    assert sorted(path.name for path in STORE.parent.iterdir()) == [".lock", "mlflow.db"]
    record_property("seen", str(caught.value))


@pytest.mark.fault("a migration while another process writes", chapter=CHAPTER)
def test_a_store_that_is_written_to_is_not_migrated(older, monkeypatch):
    monkeypatch.setattr(migrate, "PATIENCE", 0.1)
    with contextlib.closing(sqlite3.connect(STORE, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(UserError, match=r"is in use .*: end `make ui` and `dvc repro` first"):
            migrate.migrate(STORE.resolve())
    assert STORE.read_bytes() == older


@pytest.mark.fault("a store of a newer MLflow", chapter=CHAPTER)
@pytest.mark.parametrize(
    "act", [environment.check, lambda: migrate.migrate(STORE.resolve())], ids=["checked", "migrated"]
)
def test_a_store_of_a_newer_mlflow_is_named_as_one(act):
    execute("UPDATE alembic_version SET version_num = 'ffffffffffff'")
    before = STORE.read_bytes()
    with pytest.raises(UserError, match=f"is of a newer MLflow than .*: install that one, or set {TRACKING}"):
        act()
    assert STORE.read_bytes() == before


def test_the_versions_of_the_tables_are_those_that_mlflow_knows():
    script = ScriptDirectory.from_config(utils._get_alembic_config(""))
    for step in script.walk_revisions():
        if step.revision == utils._get_latest_schema_revision():
            environment.check_revision("a store", step.revision, "")
        else:
            with pytest.raises(environment.Older):
                environment.check_revision("a store", step.revision, "")
    environment.check_revision("a store without tables", None, "")


def test_a_store_that_is_just_being_made_is_of_no_older_mlflow():
    execute(f"UPDATE alembic_version SET version_num = '{REVISION}'", "DELETE FROM experiments")  # noqa: S608  our own text
    environment.check()
