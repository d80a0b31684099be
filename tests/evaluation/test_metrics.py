"""Figures of merit against values worked out by hand or by other means."""

import math

import numpy as np
import pandas as pd
import pytest

from pipeline.evaluation import calibration, ensemble, metrics

CLASSES = tuple("abcdefghij")


@pytest.fixture
def predictions() -> tuple[np.ndarray, np.ndarray]:
    """Probabilities (2000, 10) that are right about two times in three, and labels."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 10, 2000)
    logits = rng.normal(size=(2000, 10)) + 2.2 * np.eye(10)[labels]
    return (np.exp(logits) / np.exp(logits).sum(1, keepdims=True)).astype("float32"), labels


def test_scores_of_a_small_example():
    probabilities = np.full((4, 10), 0.02, "float32")
    for row, label in enumerate((0, 1, 2, 2)):
        probabilities[row, label] = 0.82
    scores = metrics.score(probabilities, np.array([0, 1, 2, 3]), bins=15)
    assert scores["accuracy"] == 0.75
    assert scores["nll"] == pytest.approx(-(3 * np.log(0.82) + np.log(0.02)) / 4, abs=1e-6)
    assert scores["ece"] == pytest.approx(0.82 - 0.75, abs=1e-6)
    assert scores["macro_f1"] == pytest.approx((1 + 1 + 2 / 3) / 10)
    assert scores["images"] == 4


def test_wilson_interval_of_a_published_example():
    """Newcombe (1998), table I: 81 of 263 gives 0.2553 to 0.3662."""
    assert metrics.wilson(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)


@pytest.mark.parametrize("total", [1, 7, 100, 9690, 10_000])
def test_wilson_interval_is_the_closed_form(total):
    z = 1.959963984540054
    for correct in {0, 1, total // 3, total - 1, total}:
        share, scale = correct / total, 1 + z**2 / total
        half = z * math.sqrt(share * (1 - share) / total + z**2 / (4 * total**2))
        ends = ((share + z**2 / (2 * total) - half) / scale, (share + z**2 / (2 * total) + half) / scale)
        assert metrics.wilson(correct, total) == pytest.approx(ends, abs=1e-12)


def test_ece_is_zero_for_certainty_that_is_right_and_one_for_certainty_that_is_wrong():
    certain = np.eye(10)[[1, 2, 3]]
    assert metrics.ece(certain, np.array([1, 2, 3]), 15) == 0
    assert metrics.ece(certain, np.array([2, 3, 4]), 15) == 1


def test_the_ece_is_what_the_rows_of_the_reliability_give(predictions, tmp_path):
    probabilities, labels = predictions
    metrics.reliability(probabilities, labels, 15).to_csv(tmp_path / "rows.csv", index=False)
    rows = pd.read_csv(tmp_path / "rows.csv")
    assert rows["images"].sum() == 2000
    assert rows["images"].min() > 0
    assert (rows["accuracy"] * rows["images"]).sum() == pytest.approx((probabilities.argmax(1) == labels).sum())
    assert (rows["confidence"] * 15 // 1).is_unique
    by_hand = sum(row.images * abs(row.confidence - row.accuracy) for row in rows.itertuples()) / 2000
    assert metrics.ece(probabilities, labels, 15) == pytest.approx(by_hand, abs=1e-12)


def test_a_bin_without_images_has_no_row():
    rows = metrics.reliability(np.eye(10)[[1, 2, 3]], np.array([1, 2, 0]), 15)
    assert rows.to_dict("records") == [{"confidence": 1, "accuracy": pytest.approx(2 / 3), "images": 3}]


def test_mistakes_are_wrong_and_the_most_confident_comes_first(predictions):
    probabilities, labels = predictions
    worst = metrics.mistakes(probabilities, labels, CLASSES)
    assert len(worst) == 25
    assert worst["confidence"].is_monotonic_decreasing
    for row in worst.itertuples():
        assert probabilities[row.image].max() == np.float32(row.confidence)
        assert (row.label, row.predicted) == (CLASSES[labels[row.image]], CLASSES[probabilities[row.image].argmax()])
    assert (worst["label"] != worst["predicted"]).all()
    wrong = probabilities.argmax(1) != labels
    assert (probabilities[wrong].max(1) > worst["confidence"].min()).sum() == 24
    assert len(metrics.mistakes(np.eye(10)[[1, 2]], np.array([1, 3]), CLASSES)) == 1


def test_top3_counts_the_three_most_probable(predictions):
    probabilities, labels = predictions
    by_hand = np.mean([label in row.argsort()[-3:] for row, label in zip(probabilities, labels, strict=True)])
    assert metrics.score(probabilities, labels, 15)["top3"] == pytest.approx(by_hand)


def test_confusion_and_report_agree(predictions):
    probabilities, labels = predictions
    counts = metrics.confusion(probabilities, labels, CLASSES)
    report = metrics.per_class(probabilities, labels, CLASSES).set_index("class")
    assert counts.to_numpy().sum() == 2000
    assert report.loc["c", "recall"] == pytest.approx(counts.loc["c", "c"] / counts.loc["c"].sum())
    assert report.loc["c", "precision"] == pytest.approx(counts.loc["c", "c"] / counts["c"].sum())


def test_a_class_has_the_interval_of_its_recall_and_one_without_images_none(predictions):
    probabilities, labels = predictions
    some = labels != 3
    report = metrics.per_class(probabilities[some], labels[some], CLASSES).set_index("class")
    right = int((probabilities[labels == 2].argmax(1) == 2).sum())
    expected = metrics.wilson(right, int((labels == 2).sum()))
    assert tuple(report.loc["c", ["recall_low", "recall_high"]]) == expected
    assert expected[0] < report.loc["c", "recall"] < expected[1]
    assert set(report.index[report["recall_low"].isna()]) == {"d", "macro avg", "weighted avg"}


def test_the_temperature_undoes_a_scaling_of_the_logits(predictions):
    probabilities, labels = predictions
    logits = np.log(probabilities)
    fitted = calibration.best_temperature(logits, labels)
    assert fitted == pytest.approx(1 / 2.2, rel=0.05)  # of a unit normal, moved by 2.2 in the right class
    assert calibration.best_temperature(logits * 3, labels) == pytest.approx(3 * fitted, rel=1e-3)


def test_the_vote_is_better_than_its_members_and_leaves_out_noise(predictions):
    probabilities, labels = predictions
    rng = np.random.default_rng(1)
    logits = rng.normal(size=(2000, 10)) + 2.2 * np.eye(10)[labels]
    other = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    noise = rng.dirichlet(np.ones(10), 2000)
    candidates = {"first": probabilities, "second": other.astype("float32"), "noise": noise.astype("float32")}
    vote = ensemble.choose(candidates, labels, rounds=20)
    assert set(vote.weights) == {"first", "second"}
    assert sum(vote.weights.values()) == pytest.approx(1)
    mean = vote.average(candidates)
    assert mean.sum(axis=1) == pytest.approx(1, abs=1e-5)
    assert calibration.nll(mean, labels) < min(calibration.nll(candidates[name], labels) for name in vote.weights)
    assert (mean.argmax(1) == labels).mean() > (probabilities.argmax(1) == labels).mean()


def test_a_single_candidate_has_the_whole_vote(predictions):
    probabilities, labels = predictions
    assert ensemble.choose({"only": probabilities}, labels, rounds=5).weights == {"only": 1.0}


def test_mcnemars_test_counts_the_images_on_which_two_candidates_differ():
    labels = np.zeros(100, int)
    right, wrong = np.eye(10)[0], np.eye(10)[1]
    first, second = np.tile(right, (100, 1)), np.tile(right, (100, 1))
    first[:2], second[5:15] = wrong, wrong
    result = metrics.mcnemar(first, second, labels)
    assert (result["better"], result["worse"]) == (10, 2)
    assert result["p"] == pytest.approx(2 * sum(math.comb(12, k) for k in range(3)) / 2**12)
    assert metrics.mcnemar(first, first, labels) == {"better": 0, "worse": 0, "p": 1.0}


def test_every_two_candidates_are_compared(predictions):
    probabilities, labels = predictions
    rolled = np.roll(probabilities, 1, axis=1)
    rows = metrics.paired({"a": probabilities, "b": rolled, "c": probabilities}, labels)
    assert rows[["first", "second"]].to_numpy().tolist() == [["a", "b"], ["a", "c"], ["b", "c"]]
    for row in rows.to_dict("records"):
        first, second = (rolled if row[side] == "b" else probabilities for side in ("first", "second"))
        assert metrics.mcnemar(first, second, labels) == {key: row[key] for key in ("better", "worse", "p")}
    assert list(metrics.paired({"a": probabilities}, labels)) == list(rows)


def test_where_the_vote_helps_is_counted_class_by_class(predictions):
    member, labels = predictions
    vote = np.roll(member, 1, axis=0)
    rows = metrics.helps(vote, member, labels, CLASSES)
    assert list(rows["class"]) == list(CLASSES)
    both = metrics.mcnemar(vote, member, labels)
    assert (rows["helped"].sum(), rows["harmed"].sum()) == (both["better"], both["worse"])
    of_c = labels == 2
    assert rows.loc[2, "helped"] == ((vote.argmax(1) == 2) & (member.argmax(1) != 2))[of_c].sum()
