"""What the promotion gate lets through, and what not."""

import json

import numpy as np
import pytest

from drills import gate as drill
from drills.gate import changed, probabilities, promoted
from pipeline.registry import gate
from tests.conftest import ROOT

LABELS = np.arange(5000) % 10


@pytest.fixture
def settings(checked):
    return checked.gate


@pytest.fixture
def champion() -> np.ndarray:
    """Which images it has right: 93 %."""
    return np.random.default_rng(0).random(5000) < 0.93


def candidate(right: np.ndarray, **costs) -> gate.Candidate:
    given = 0.93 * probabilities(right, LABELS) + 0.007  # as sure as it may be, so that the ECE is small
    return gate.Candidate("any", given, **({"size_mb": 8.0, "seconds_per_1000_images": 2.0} | costs))


def decide(challenger, champion, settings, rivals=1):
    return gate.decide(challenger, champion, LABELS, settings, 15, rivals, 0)


def better(right: np.ndarray, images: int) -> np.ndarray:
    """The same with so many of the wrong images right, spread over the classes."""
    gained = right.copy()
    gained[np.flatnonzero(~right)[:images]] = True
    return gained


def failed(decision: dict) -> list[str]:
    return [check["check"] for check in decision["checks"] if not check["passed"]]


def test_a_clearly_better_one_gets_through_with_its_evidence(champion, settings):
    decision = decide(candidate(better(champion, 60)), candidate(champion), settings)
    assert decision["promote"]
    evidence = decision["evidence"]
    assert (evidence["better"], evidence["worse"], evidence["images"]) == (60, 0, 5000)
    assert evidence["difference_low"] < evidence["difference"] == 0.012 < evidence["difference_high"]
    assert evidence["p"] == pytest.approx(0.5**60)
    assert set(evidence["classes"]) == {
        *("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
    }
    json.dumps(decision)


def test_a_tie_keeps_the_champion(champion, settings):
    decision = decide(candidate(champion), candidate(champion), settings)
    assert not decision["promote"]
    assert failed(decision) == ["mcnemar_p", "difference"]


def test_a_worse_one_is_refused_with_the_reason(champion, settings):
    decision = decide(candidate(champion), candidate(better(champion, 60)), settings)
    assert not decision["promote"]
    assert "mcnemar_p is 1, limit 0.05; difference is -0.012, limit 0.001" in decision["reason"]


def test_the_level_is_shared_by_the_candidates_that_it_was_chosen_from(champion, settings):
    few = candidate(better(champion, 6))  # p 0.016
    assert decide(few, candidate(champion), settings)["promote"]
    assert failed(decide(few, candidate(champion), settings, rivals=5)) == ["mcnemar_p"]


def test_a_difference_below_the_minimum_effect_is_refused(champion, settings):
    wanting = settings.model_copy(update={"minimum_effect": 0.02})
    assert failed(decide(candidate(better(champion, 60)), candidate(champion), wanting)) == ["difference"]


def test_a_class_that_becomes_much_worse_is_refused(champion, settings):
    challenger = better(champion, 300)
    challenger[(LABELS == 3) & (np.arange(5000) < 800)] = False
    uncalibrated = settings.model_copy(update={"ece_limit": None})
    assert failed(decide(candidate(challenger), candidate(champion), uncalibrated)) == ["difference_cat_low"]


@pytest.mark.parametrize(
    ("costs", "limits", "check"),
    [
        ({"size_mb": 200.0}, {}, "size_mb"),
        ({"seconds_per_1000_images": 9.0}, {"latency_limit": 5.0}, "seconds_per_1000_images"),
        ({}, {"ece_limit": 1e-6}, "ece"),
    ],
)
@pytest.mark.parametrize("first", [True, False])
def test_the_limits_hold_with_and_without_a_champion(first, costs, limits, check, champion, settings):
    challenger = candidate(better(champion, 60), **costs)
    standing = None if first else candidate(champion)
    assert failed(decide(challenger, standing, settings.model_copy(update=limits))) == [check]


def test_the_first_one_is_promoted(champion, settings):
    decision = decide(candidate(champion), None, settings)
    assert (decision["promote"], decision["reason"]) == (True, "no champion yet, within all limits")


def test_what_has_seen_other_images_is_refused():
    decision = gate.incomparable("version 1 has seen other validation images")
    assert not decision["promote"]
    assert decision["reason"] == "not comparable with the champion: version 1 has seen other validation images"


@pytest.mark.parametrize("rivals", [1, 5])
def test_few_equal_challengers_get_through_also_when_each_is_the_best_of_several(rivals, settings):
    assert promoted(0.0, rivals, settings, 300) <= 0.08  # of so few trials; `python -m drills.gate` has 2,000


def test_most_challengers_that_are_a_point_better_get_through(settings):
    assert promoted(0.01, 1, settings, 100) > 0.7


def test_the_simulation_tells_a_gate_that_lets_too_many_through(monkeypatch, capsys):
    monkeypatch.setattr(drill, "promoted", lambda difference, *_: 0.06 if difference == 0 else 1.0)
    monkeypatch.chdir(ROOT)
    with pytest.raises(SystemExit) as ended:
        drill.main()
    assert ended.value.code == 1
    assert "better than the champion by 0.0%, each the best of 5 | 6.0% promoted" in capsys.readouterr().out


def test_simulated_challengers_differ_as_much_as_they_should():
    rng = np.random.default_rng(0)
    labels = np.arange(400_000) % 10
    first = rng.random(400_000) < drill.ACCURACY[labels]
    other = changed(first, labels, 0.01, rng)
    assert first.mean() == pytest.approx(0.935, abs=0.002)
    assert (first != other).mean() == pytest.approx(0.07, abs=0.002)
    assert (first != other)[labels == 3].mean() == pytest.approx(0.16, abs=0.006)
    assert other.mean() - first.mean() == pytest.approx(0.01, abs=0.002)
