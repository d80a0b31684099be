"""What a training step is fed is reproducible, augmented as said, and made of the given images only."""

import keras
import numpy as np
import pytest

from pipeline.training.augmentation import Augment, resizing
from pipeline.training.batches import AugmentedImages, CachedViews, one_hot

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


def drawn(some, settings, number: int, seed: int = SEED, side: int = 32) -> tuple[np.ndarray, np.ndarray]:
    """All pictures of an epoch, uint8, and all their targets."""
    batches, augment = AugmentedImages(some[1], settings, side, seed, number), Augment(some[0])
    inputs, targets = zip(*(batches[step] for step in range(len(batches))), strict=True)
    pictures = [keras.ops.convert_to_numpy(augment(each)) for each in inputs]
    return np.rint(np.concatenate(pictures)).astype("uint8"), np.concatenate(targets)


def same(first, second) -> bool:
    return all(np.array_equal(one, other) for one, other in zip(first, second, strict=True))


def test_one_hot_has_a_one_at_the_label():
    assert np.array_equal(one_hot(np.array([3, 0, 9], "uint8")), np.eye(10, dtype="float32")[[3, 0, 9]])


def test_the_same_seed_and_epoch_give_the_same_pictures(some, training):
    settings = training(shift=2, cutmix=0.5)
    assert same(drawn(some, settings, 3), drawn(some, settings, 3))


@pytest.mark.parametrize(("seed", "number"), [(SEED, 4), (SEED, 5), (SEED + 1, 3)])
def test_another_epoch_or_seed_gives_other_pictures(seed, number, some, training):
    settings = training(shift=2)
    assert not same(drawn(some, settings, number, seed), drawn(some, settings, 3))


def mirrored(some, settings, number: int) -> list[bool]:
    """Whether each image appears mirrored in the epoch; every one must appear once, as it is or mirrored."""
    pictures, targets = drawn(some, settings, number)
    seen = {picture.tobytes(): target.argmax() for picture, target in zip(pictures, targets, strict=True)}
    assert len(seen) == len(pictures) == len(some[0])
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
    pictures, targets = drawn(some, training(shift=shift), 0)
    found = [moves[picture.tobytes()] for picture in pictures]
    assert sorted(number for number, _, _ in found) == list(range(40))
    assert [some[1][number] for number, _, _ in found] == targets.argmax(axis=1).tolist()
    assert {row for _, row, _ in found} == {column for _, _, column in found} == set(range(5))


@pytest.mark.parametrize(("epochs", "number", "side"), [(4, 0, 24), (4, 1, 24), (4, 2, 48), (4, 3, 48), (1, 0, 48)])
def test_the_first_epochs_have_the_small_side_and_the_last_never(epochs, number, side, some, training):
    pictures, _ = drawn(some, training(small=24, small_share=0.5, epochs=epochs), number, side=48)
    assert pictures.shape == (40, side, side, 3)


def test_cutmix_pastes_a_box_of_another_image_and_its_share_of_the_target(training):
    """Images of one value each: a picture shows by its values which two it is made of, and how much of each."""
    labels = np.arange(10, dtype="uint8")
    images = np.broadcast_to(labels[:, None, None, None] * 10, (10, 32, 32, 3)).copy()
    mixed = 0
    for number in range(5):
        pictures, targets = drawn((images, labels), training(cutmix=1.0), number)
        for picture, target in zip(pictures, targets, strict=True):
            shares = np.bincount(picture[..., 0].ravel() // 10, minlength=10) / 32**2
            assert target == pytest.approx(shares, abs=1e-6)
            inside = np.argwhere(picture[..., 0] == picture[..., 0].min())
            mixed += len(np.unique(picture)) == 2
            assert len(np.unique(picture)) <= 2
            assert len(inside)
    assert mixed > 25


def test_cutmix_leaves_the_other_images_alone(some, training):
    assert same(drawn(some, training(cutmix=1e-9), 0), drawn(some, training(), 0))


def resized(images: np.ndarray, side: int) -> np.ndarray:
    return np.einsum("sr,brcd,tc->bstd", resizing(side), images.astype("float32"), resizing(side))


@pytest.mark.parametrize("side", [16, 20, 24, 31, 32])
def test_shrinking_keeps_constants_and_the_mean(side, some):
    assert np.allclose(resizing(side).sum(axis=1), 1)
    assert np.allclose(resized(some[0], side).mean(axis=(1, 2)), some[0].mean(axis=(1, 2)), atol=1e-3)


def test_shrinking_to_half_averages_squares_of_four_pixels(some):
    assert np.allclose(resized(some[0], 16), some[0].reshape(-1, 16, 2, 16, 2, 3).mean(axis=(2, 4)), atol=1e-3)


@pytest.mark.parametrize("side", [32, 48, 96, 160])
def test_enlarging_is_what_the_served_model_does(side, some):
    images = some[0][:4]
    served = keras.ops.image.resize(images.astype("float32"), (side, side), "bilinear")
    assert np.allclose(resized(images, side), keras.ops.convert_to_numpy(served), atol=1e-2)


@pytest.fixture
def views() -> np.ndarray:
    """Activations of three views of 40 images; each tells its view and its image."""
    views = np.zeros((3, 40, 2, 2, 4), "float16")
    views[..., 0] = np.arange(3)[:, None, None, None]
    views[..., 1] = np.arange(40)[:, None, None]
    return views


def cached(views, some, settings, number: int, seed: int = SEED) -> tuple[np.ndarray, np.ndarray]:
    """All activations of an epoch and all their targets."""
    batches = CachedViews(views, some[1], settings, seed, number)
    inputs, targets = zip(*(batches[step] for step in range(len(batches))), strict=True)
    return np.concatenate(inputs), np.concatenate(targets)


@pytest.mark.parametrize(("number", "view"), [(0, 0), (1, 1), (2, 2), (3, 0)])
def test_cached_views_take_turns_as_float32(number, view, views, some, training):
    inputs, targets = cached(views, some, training(), number)
    assert (inputs.shape, inputs.dtype, targets.dtype) == ((40, 2, 2, 4), "float32", "float32")
    chosen, numbers = inputs[:, 0, 0, 0].astype(int), inputs[:, 0, 0, 1].astype(int)
    assert sorted(numbers) == list(range(40))
    assert set(chosen) == {view}
    assert np.array_equal(targets.argmax(axis=1), some[1][numbers])


def test_cached_views_come_in_the_same_order_for_the_same_epoch_and_another_for_another(views, some, training):
    assert same(cached(views, some, training(), 0), cached(views, some, training(), 0))
    assert not same(cached(views, some, training(), 0), cached(views, some, training(), 3))


def test_the_remainder_is_left_out(views, some, training):
    settings = training(batch_size=12)
    for batches in (AugmentedImages(some[1], settings, 32, SEED, 0), CachedViews(views, some[1], settings, SEED, 0)):
        assert len(batches) == 3
        assert [len(batches[step][1]) for step in range(3)] == [12, 12, 12]


def test_fewer_images_than_a_batch_make_one_batch(some, training):
    batches = AugmentedImages(some[1], training(batch_size=256), 32, SEED, 0)
    assert len(batches) == 1
    assert len(batches[0][1]) == 40
