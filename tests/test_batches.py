"""What a training step is fed is reproducible, augmented as said, and made of the given images only."""

import numpy as np
import pytest

from pipeline.batches import AugmentedImages, CachedViews, one_hot, shrink

SEED = 7


@pytest.fixture
def training(checked):
    """custom_cnn's settings: small batches of images at full size, not moved, unless told otherwise."""

    def settings(**update):
        plain = {"batch_size": 10, "shift": 0, "small_share": 0.0}
        return checked.models["custom_cnn"].training.model_copy(update=plain | update)

    return settings


@pytest.fixture
def some() -> tuple[np.ndarray, np.ndarray]:
    """40 images, all different, the classes taking turns."""
    return np.random.default_rng(0).integers(0, 256, (40, 32, 32, 3), "uint8"), np.arange(40, dtype="uint8") % 10


def epoch(batches) -> tuple[np.ndarray, np.ndarray]:
    """All inputs and all targets of an epoch."""
    inputs, targets = zip(*(batches[step] for step in range(len(batches))), strict=True)
    return np.concatenate(inputs), np.concatenate(targets)


def same(first, second) -> bool:
    return all(np.array_equal(one, other) for one, other in zip(epoch(first), epoch(second), strict=True))


def test_one_hot_has_a_one_at_the_label():
    assert np.array_equal(one_hot(np.array([3, 0, 9], "uint8")), np.eye(10, dtype="float32")[[3, 0, 9]])


def test_the_same_seed_and_epoch_give_the_same_batches(some, training):
    settings = training(shift=2)
    assert same(AugmentedImages(*some, settings, SEED, 3), AugmentedImages(*some, settings, SEED, 3))


@pytest.mark.parametrize(("seed", "number"), [(SEED, 4), (SEED, 5), (SEED + 1, 3)])
def test_another_epoch_or_seed_gives_other_batches(seed, number, some, training):
    settings = training(shift=2)
    assert not same(AugmentedImages(*some, settings, SEED, 3), AugmentedImages(*some, settings, seed, number))


def test_reading_an_epoch_twice_gives_the_same_and_leaves_the_images_alone(some, training):
    before = some[0].copy()
    batches = AugmentedImages(*some, training(shift=2), SEED, 0)
    assert same(batches, batches)
    assert np.array_equal(some[0], before)


def mirrored(some, settings, number: int) -> list[bool]:
    """Whether each image appears mirrored in the epoch; every one must appear once, as it is or mirrored."""
    inputs, targets = epoch(AugmentedImages(*some, settings, SEED, number))
    seen = {picture.tobytes(): target.argmax() for picture, target in zip(inputs, targets, strict=True)}
    assert len(seen) == len(inputs) == len(some[0])
    result = []
    for image, label in zip(*some, strict=True):
        plain, mirror = image.tobytes(), image[:, ::-1].tobytes()
        assert (plain in seen) != (mirror in seen)
        result.append(mirror in seen)
        assert seen[mirror if mirror in seen else plain] == label
    return result


def test_each_image_is_mirrored_in_exactly_one_of_two_consecutive_epochs(some, training):
    epochs = [mirrored(some, training(), number) for number in range(4)]
    assert 0 < sum(epochs[0]) < len(epochs[0])
    assert epochs[1] == epochs[3] == [not flag for flag in epochs[0]]
    assert epochs[2] == epochs[0]


def test_an_image_is_moved_by_no_more_than_the_shift(some, training):
    shift = 2
    moves = {}
    for number, (image, _) in enumerate(zip(*some, strict=True)):
        for picture in (image, image[:, ::-1]):
            padded = np.pad(picture, ((shift, shift), (shift, shift), (0, 0)), mode="reflect")
            for row in range(2 * shift + 1):
                for column in range(2 * shift + 1):
                    moves[padded[row : row + 32, column : column + 32].tobytes()] = number, row, column
    inputs, targets = epoch(AugmentedImages(*some, training(shift=shift), SEED, 0))
    assert (inputs.shape, inputs.dtype) == ((40, 32, 32, 3), "uint8")
    found = [moves[picture.tobytes()] for picture in inputs]
    assert sorted(number for number, _, _ in found) == list(range(40))
    assert [some[1][number] for number, _, _ in found] == targets.argmax(axis=1).tolist()
    assert {row for _, row, _ in found} == {column for _, _, column in found} == set(range(5))


@pytest.mark.parametrize(("epochs", "number", "side"), [(4, 0, 24), (4, 1, 24), (4, 2, 32), (4, 3, 32), (1, 0, 32)])
def test_the_first_epochs_have_the_small_side_and_the_last_never(epochs, number, side, some, training):
    batches = AugmentedImages(*some, training(small=24, small_share=0.5, epochs=epochs), SEED, number)
    inputs, _ = batches[0]
    assert (inputs.shape, inputs.dtype) == ((10, side, side, 3), "uint8")


@pytest.mark.parametrize("side", [16, 20, 24, 32])
def test_shrinking_keeps_a_constant_image_constant(side):
    constant = np.broadcast_to(np.array([0, 93, 255], "uint8"), (2, 32, 32, 3))
    small = shrink(constant, side)
    assert small.shape == (2, side, side, 3)
    assert (small == [0, 93, 255]).all()


@pytest.mark.parametrize("side", [16, 20, 24, 31])
def test_shrinking_keeps_the_mean(side, some):
    small = shrink(some[0], side)
    assert np.allclose(small.mean(axis=(1, 2)), some[0].mean(axis=(1, 2)), atol=0.1)


def test_shrinking_to_half_averages_squares_of_four_pixels(some):
    means = some[0].reshape(-1, 16, 2, 16, 2, 3).mean(axis=(2, 4))
    assert np.array_equal(shrink(some[0], 16), np.rint(means))


def test_shrinking_by_nothing_changes_nothing(some):
    assert np.array_equal(shrink(some[0], 32), some[0])


@pytest.fixture
def views() -> np.ndarray:
    """Activations of three views of 40 images; each tells its view and its image."""
    views = np.zeros((3, 40, 2, 2, 4), "float16")
    views[..., 0] = np.arange(3)[:, None, None, None]
    views[..., 1] = np.arange(40)[:, None, None]
    return views


def test_cached_views_picks_stored_views_only_as_float32(views, some, training):
    inputs, targets = epoch(CachedViews(views, some[1], training(), SEED, 0))
    assert (inputs.shape, inputs.dtype, targets.dtype) == ((40, 2, 2, 4), "float32", "float32")
    chosen, numbers = inputs[:, 0, 0, 0].astype(int), inputs[:, 0, 0, 1].astype(int)
    assert sorted(numbers) == list(range(40))
    assert set(chosen) == {0, 1, 2}
    assert np.array_equal(inputs, views[chosen, numbers])
    assert np.array_equal(targets.argmax(axis=1), some[1][numbers])


def test_cached_views_are_the_same_for_the_same_epoch_and_others_for_another(views, some, training):
    first = CachedViews(views, some[1], training(), SEED, 0)
    assert same(first, CachedViews(views, some[1], training(), SEED, 0))
    assert not same(first, CachedViews(views, some[1], training(), SEED, 1))


def test_the_remainder_is_left_out(views, some, training):
    settings = training(batch_size=12)
    for batches in (AugmentedImages(*some, settings, SEED, 0), CachedViews(views, some[1], settings, SEED, 0)):
        assert len(batches) == 3
        assert [len(batches[step][0]) for step in range(3)] == [12, 12, 12]


def test_fewer_images_than_a_batch_make_one_batch(some, training):
    batches = AugmentedImages(*some, training(batch_size=256), SEED, 0)
    assert len(batches) == 1
    assert len(batches[0][0]) == 40
