"""Stage `promote`: what the store says of the champion is compared only if it is what was recorded."""

import io
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from drills import files
from pipeline.core import params
from pipeline.core.errors import UserError
from pipeline.lineage import version
from pipeline.registry import decision as deciding
from pipeline.registry import gate, journal, promotion, versions
from pipeline.stages import promote
from pipeline.tracking import runs
from tests.tampering import MODEL, artifact, decide_otherwise, execute, kept


@pytest.fixture(autouse=True)
def here(inside) -> Iterator[None]:
    """A workspace whose champion is its network; what is changed in its store is put back."""
    with kept(*map(artifact, ("validation.npy", versions.DECISION, "model_card.md"))):
        yield


def decide() -> dict:
    """The gate on an equal challenger."""
    champion = promotion.champion(MODEL)
    run = runs.get(champion.run_id)
    challenger = gate.Candidate("another", np.load("models/custom_cnn/validation.npy"), 1.0, 1.0)
    return deciding.compare(challenger, run, champion, 1, params.load())


def test_the_champion_is_compared_by_what_its_run_has():
    decision = decide()
    assert (decision["evidence"]["better"], decision["evidence"]["worse"]) == (0, 0)
    assert not decision["promote"]


def saved(change) -> bytes:
    content = io.BytesIO()
    np.save(content, change(np.load("models/custom_cnn/validation.npy")))
    return content.getvalue()


CHANGED = {
    "perfect": lambda path: path.write_bytes(saved(lambda found: np.eye(10, dtype="float32")[found.argmax(axis=1)])),
    "no numbers": lambda path: path.write_bytes(saved(lambda found: np.full_like(found, np.nan))),
    "of fewer images": lambda path: path.write_bytes(saved(lambda found: found[:50])),
    "junk": lambda path: path.write_bytes(b"junk"),
    "a pickle": lambda path: files.malicious_pickle(path, Path("canary")),
}


@pytest.mark.fault("as the champion's probabilities in the store")
@pytest.mark.parametrize("kind", CHANGED)
def test_other_probabilities_than_those_that_were_recorded_stop_the_stage(kind, record_property):
    CHANGED[kind](Path(artifact("validation.npy")))
    with pytest.raises(UserError, match=r"validation\.npy of its run is not what was recorded") as caught:
        decide()
    assert not Path("canary").exists()
    record_property("seen", str(caught.value))


@pytest.mark.fault("a champion without")
@pytest.mark.parametrize("what", ["size_mb", "validation.npy", "validation.sha256"])
def test_a_champion_that_cannot_be_compared_with_stays(what, record_property):
    if what == "size_mb":
        execute("delete from latest_metrics where key = 'size_mb'")
    elif what == "validation.npy":
        Path(artifact(what)).unlink()
    else:
        execute("delete from tags where key = 'validation.sha256'")
    decision = decide()
    assert not decision["promote"]
    assert decision["reason"].startswith("not comparable with the champion: ")
    record_property("seen", decision["reason"])


@pytest.mark.fault("the champion's decision in the store, changed")
def test_another_decision_than_the_one_that_was_recorded_stops_the_stage(record_property):
    champion, path = promotion.champion(MODEL), Path(artifact(versions.DECISION))
    decision = json.loads(path.read_text())
    tags = {key: champion.tags[key] for key in versions.OWN}
    assert deciding.recorded(champion, tags) == decision
    path.write_text(json.dumps(decision | {"reason": "because"}))
    with pytest.raises(UserError, match=r"promotion\.json of its run is not what was recorded") as caught:
        deciding.recorded(champion, tags)
    record_property("seen", str(caught.value))
    path.unlink()
    with pytest.raises(UserError, match=r"promotion\.json of its run is not what was recorded"):
        deciding.recorded(champion, tags)
    with pytest.raises(UserError, match="tag candidate is not what was recorded"):
        deciding.recorded(champion, tags | {"candidate": "another"})


def test_a_champion_whose_decision_was_cut_off_and_that_a_person_then_promoted_says_so():
    seen = promotion.settle(MODEL).entries
    with kept("registry.json", "reports/model_card.md"):
        decide_otherwise(artifact(versions.DECISION), {"promote": False, "reason": "worse", "checks": []})
        journal.append(MODEL, seen, seen[-1] | {"why": "a test", "evidence": None})
        promote.main()
        champion = promotion.champion(MODEL)
        assert (champion.tags[versions.GATE], versions.by_hand(champion)) == ("was promoted by hand", True)
        told = [line.text for line in version.verify(champion)]
        assert "gate: was promoted by hand" in told
        before = json.loads(Path("registry.json").read_text())
        promote.main()  # again changes nothing
        assert json.loads(Path("registry.json").read_text()) == before


def test_a_champion_that_wins_again_stays_as_it_was_registered(small):
    before, files = promotion.champion(MODEL), [Path(path) for path in ("registry.json", "reports/model_card.md")]
    contents, seen = [path.read_bytes() for path in files], promotion.settle(MODEL).entries
    small.git("commit", "--quiet", "--allow-empty", "-m", "Another commit")
    with kept(*map(str, files)):
        promote.main()
        assert [path.read_bytes() for path in files] == contents
    after = promotion.champion(MODEL)
    assert (after.tags, after.description) == (before.tags, before.description)
    assert promotion.settle(MODEL).entries == seen
