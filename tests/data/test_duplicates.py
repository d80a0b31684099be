"""Near-duplicates that are made here are found, and others are not."""

import numpy as np
import pandas as pd
import pytest

from pipeline.core import paths
from pipeline.data import duplicates, splits


@pytest.fixture
def pictures(images) -> np.ndarray:
    return images[0][:400]


def find(images, others, checked) -> pd.DataFrame:
    return duplicates.find(images, others, checked.duplicates, lambda done: None)


def brighter(images: np.ndarray) -> np.ndarray:
    return (images * 0.8 + 30).astype("uint8")


def moved(images: np.ndarray) -> np.ndarray:
    return np.roll(images, 1, axis=2)


def mirrored(images: np.ndarray) -> np.ndarray:
    return images[:, :, ::-1]


def noisy(images: np.ndarray) -> np.ndarray:
    noise = np.random.default_rng(0).normal(0, 4, images.shape)
    return np.clip(images + noise, 0, 255).astype("uint8")


@pytest.mark.parametrize(
    ("change", "share"), [(np.copy, 1.0), (brighter, 1.0), (mirrored, 1.0), (noisy, 0.85), (moved, 0.4)]
)
def test_changed_copies_are_found(change, share, pictures, checked):
    found = find(pictures[:100], change(pictures), checked)
    right = found[found["image"] == found["other"]]
    assert right["image"].nunique() >= share * 100
    if change is mirrored:
        assert right["mirrored"].mean() > 0.9


def test_few_different_images_are_taken_for_duplicates(pictures, checked):
    found = find(pictures[:200], pictures[200:], checked)
    assert found["image"].nunique() <= 4
    assert list(found.columns) == ["image", "other", "mirrored", "pixels", "outlines"]


def test_likenesses_are_cosines(pictures):
    for describe in (duplicates.pixels, duplicates.outlines):
        vectors = describe(pictures)
        assert (vectors @ vectors.T).max() <= 1 + 1e-5
        assert np.diag(vectors @ vectors.T) == pytest.approx(np.ones(400), abs=1e-4)


def test_a_plain_image_is_like_nothing(pictures, checked):
    assert len(find(np.full((2, 32, 32, 3), 7, "uint8"), pictures, checked)) == 0


@pytest.mark.parametrize("twins", [0, 3])
def test_the_stage_writes_pairs_and_counts(twins, pictures, run_stage, tmp_path):
    test = pictures[:20].copy()
    made = {paths.TRAIN: pictures[100:160].copy(), paths.VALIDATION: pictures[200:230].copy(), paths.TEST: test}
    made[paths.VALIDATION][:twins] = test[:twins]
    for folder, images in made.items():
        splits.save(tmp_path / folder, images, np.zeros(len(images), "uint8"))
    result = run_stage("duplicates")
    assert result.returncode == 0, result.stderr
    pairs = pd.read_csv(tmp_path / paths.DUPLICATES)
    exact = pairs[pairs["pixels"] > 0.999]
    assert sorted(exact[["image", "split", "other"]].values.tolist()) == [[n, "validation", n] for n in range(twins)]
    assert "of 20 test images have a near-duplicate among 90 others" in result.stdout
