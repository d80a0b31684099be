"""Stages and commands after others have deleted in MLflow what the files tell of."""

import json
from collections.abc import Iterator
from pathlib import Path

import mlflow
import pytest
from mlflow import MlflowClient

from pipeline.core import params, paths
from pipeline.core.errors import UserError
from pipeline.core.files import folder_checksum
from pipeline.lineage import Broken, verify, version
from pipeline.recovery import restore
from pipeline.registry import gate, journal, promotion, versions
from pipeline.stages import promote, publish
from pipeline.tracking import runs, store
from tests.registry.test_decision import decide
from tests.registry.test_other_hands import CHAPTER
from tests.tampering import MODEL, another_version, artifact, kept

FILES = ("registry.json", "reports/model_card.md", "reports/edge.json")


@pytest.fixture(autouse=True)
def here(inside) -> Iterator[None]:
    with kept(*FILES, artifact(versions.DECISION), artifact("model_card.md")):
        yield


def restored() -> list[str]:
    checked = params.load()
    return list(restore.restore(checked, store.connect(checked)))


def hold(subject: str) -> None:
    assert [*verify.trace(subject, MODEL)]


DELETED = {
    "the champion's version": lambda: MlflowClient().delete_model_version(MODEL, "1"),
    "the registered model": lambda: MlflowClient().delete_registered_model(MODEL),
}


@pytest.mark.fault("stage promote after what was deleted in MLflow:", chapter=CHAPTER)
@pytest.mark.parametrize("what", DELETED)
def test_the_stages_register_and_promote_again(what):
    DELETED[what]()
    promote.main()
    publish.main()
    decision = json.loads(paths.REGISTRY.read_text())
    champion = promotion.champion(MODEL)
    assert (decision["alias"], decision["version"]) == ("champion", str(champion.version))
    assert decision["gate"]["reason"].startswith("no champion")
    assert [entry["action"] for entry in journal.read(MODEL)] == ["promote", "gone", "promote"]
    assert str(versions.resolve(MODEL, "@edge").version) == json.loads(paths.EDGE.read_text())["version"]
    before = paths.REGISTRY.read_bytes()
    promote.main()
    assert paths.REGISTRY.read_bytes() == before
    assert [*version.verify(champion)]


@pytest.mark.fault("`pipeline restore` after what was deleted in MLflow:", chapter=CHAPTER)
@pytest.mark.parametrize("what", DELETED)
def test_restoring_brings_back_what_the_files_know(what):
    DELETED[what]()
    told = restored()
    champion = promotion.champion(MODEL)
    assert f"registry: {MODEL} version {champion.version} restored as champion" in told
    assert versions.resolve(MODEL, "@edge")
    assert [entry["action"] for entry in journal.read(MODEL)] == ["promote", "gone", "restore"]
    again = restored()
    assert f"registry: {MODEL} version {champion.version} is there" in again
    hold("@champion")


@pytest.mark.fault("`pipeline restore` after another version was promoted for a deleted champion", chapter=CHAPTER)
def test_restoring_takes_no_champion_off():
    other = another_version()
    DELETED["the champion's version"]()
    promotion.enter(MODEL, "promote", other, "it is left", promotion.settle(MODEL))
    told = [line for line in restored() if "restored" in line]
    assert told[0].endswith(f"restored; champion is and stays version {other}")
    assert str(promotion.champion(MODEL).version) == other


@pytest.mark.fault("the champion's run, deleted in MLflow", chapter=CHAPTER)
def test_a_champion_whose_run_was_deleted_is_compared_with_while_mlflow_has_it_and_lineage_names_it():
    champion = promotion.champion(MODEL)
    mlflow.delete_run(champion.run_id)
    with pytest.raises(Broken, match="it was deleted in MLflow: `mlflow runs restore"):
        hold("@champion")
    with pytest.raises(UserError, match=r"has no run of train@custom_cnn .* `pipeline restore` tells it"):
        promote.main()
    assert "custom_cnn: run " in restored()[0]
    assert runs.of("custom_cnn").info.run_id != champion.run_id
    decision = decide()
    assert (decision["evidence"]["better"], decision["evidence"]["worse"]) == (0, 0)
    assert decision.keys() == gate.incomparable("").keys()
    promote.main()
    assert promotion.champion(MODEL).version == champion.version


@pytest.mark.slow
@pytest.mark.fault("stages promote and publish, which fail", chapter=CHAPTER)
def test_a_stage_that_fails_leaves_its_cards_as_they_were(small):
    cards = Path("reports/model_card.md").read_bytes(), folder_checksum(paths.EXPORT_CARDS)
    environment, small.environment = (
        small.environment,
        small.environment | {"MLFLOW_TRACKING_URI": "http://127.0.0.1:9"},
    )
    try:
        for stage in ("promote", "publish"):
            failed = small.dvc("repro", "--force", "--single-item", stage)
            assert failed.returncode != 0
            assert "does not answer" in failed.stderr
    finally:
        small.environment = environment
    assert (Path("reports/model_card.md").read_bytes(), folder_checksum(paths.EXPORT_CARDS)) == cards
