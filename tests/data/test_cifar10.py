"""The official batches become exactly the published images; damaged ones are refused; the split is stratified."""

import hashlib
import shutil

import numpy as np
import pytest

from pipeline.core.errors import UserError
from pipeline.data import cifar10, splits

SHA256 = {  # of the arrays in C order, images as N, height, width, channel
    "x_train": "47af8b02cfcfb6cdf3dbbd1969ad7f1b70f4413f6f80f437b020ee4e5bc8304a",
    "y_train": "2b7cd2f24487317614016b72ffd53071c3062f592f0eb300c18a770d41ae1253",
    "x_test": "f9b1e2130bab680db56eb06d886f7f1ad0f1183907ceff4659d1735c890f5b04",
    "y_test": "cec8a24a1e92aa2ecaa0bbd3dbfa86bf6cd8759fbd209a832824c8cf0afca9d5",
}
BATCH = "test_batch.bin"


def digest(array: np.ndarray) -> str:
    assert array.flags.c_contiguous
    return hashlib.sha256(array.reshape(-1)).hexdigest()


@pytest.fixture
def folder(tmp_path):
    yield tmp_path
    (tmp_path / BATCH).unlink(missing_ok=True)  # 30 MB


def test_training_batches_are_the_published_arrays(raw):
    images, labels = cifar10.read_batches(raw, cifar10.TRAINING_BATCHES)
    assert (images.shape, images.dtype, labels.shape, labels.dtype) == (
        (50_000, 32, 32, 3),
        "uint8",
        (50_000,),
        "uint8",
    )
    assert digest(images) == SHA256["x_train"]
    assert digest(labels) == SHA256["y_train"]


def test_test_batch_is_the_published_arrays(images):
    pixels, labels = images
    assert (pixels.shape, pixels.dtype, labels.shape, labels.dtype) == (
        (10_000, 32, 32, 3),
        "uint8",
        (10_000,),
        "uint8",
    )
    assert digest(pixels) == SHA256["x_test"]
    assert digest(labels) == SHA256["y_test"]


def refusal(folder) -> str:
    """The one line with which the test batch in `folder` is refused."""
    with pytest.raises(UserError) as caught:
        cifar10.read_batches(folder, [BATCH])
    message = str(caught.value)
    assert len(message.splitlines()) == 1
    assert str(folder / BATCH) in message
    return message


def test_one_corrupted_byte_is_refused(raw, folder):
    shutil.copy(raw / BATCH, folder)
    with (folder / BATCH).open("r+b") as file:
        file.seek(12_345_678)
        byte = file.read(1)[0]
        file.seek(12_345_678)
        file.write(bytes([byte ^ 1]))
    message = refusal(folder)
    assert "corrupted" in message
    assert cifar10.BATCHES[BATCH] in message


def test_a_batch_truncated_at_a_whole_image_is_refused(raw, folder):
    (folder / BATCH).write_bytes((raw / BATCH).read_bytes()[: 9_999 * cifar10.RECORD])
    assert "truncated" in refusal(folder)


def test_a_missing_batch_is_refused(folder):
    assert "missing" in refusal(folder)


def test_verify_names_the_one_missing_batch_of_six(raw, folder):
    for name in cifar10.BATCHES:
        if name != "data_batch_4.bin":
            (folder / name).symlink_to(raw / name)
    with pytest.raises(UserError, match=r"data_batch_4\.bin is missing"):
        cifar10.verify(folder, cifar10.BATCHES)


def test_split_has_equal_class_counts(images):
    _, labels = images
    rest, chosen = cifar10.split(labels, 1000, 0)
    assert np.bincount(labels[rest], minlength=10).tolist() == [900] * 10
    assert np.bincount(labels[chosen], minlength=10).tolist() == [100] * 10


def test_split_parts_are_sorted_disjoint_and_complete(images):
    _, labels = images
    rest, chosen = cifar10.split(labels, 1000, 0)
    assert (np.diff(rest) > 0).all()
    assert (np.diff(chosen) > 0).all()
    assert np.array_equal(np.sort(np.concatenate([rest, chosen])), np.arange(len(labels)))


def test_split_depends_on_the_seed_only(images):
    _, labels = images
    _, first = cifar10.split(labels, 1000, 0)
    _, again = cifar10.split(labels, 1000, 0)
    _, other = cifar10.split(labels, 1000, 1)
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_saved_arrays_are_loaded_unchanged(images, tmp_path):
    pixels, labels = images[0][:50], images[1][:50]
    splits.save(tmp_path / "train", pixels, labels)
    loaded_pixels, loaded_labels = splits.load(tmp_path / "train")
    assert (loaded_pixels.dtype, loaded_labels.dtype) == ("uint8", "uint8")
    assert np.array_equal(loaded_pixels, pixels)
    assert np.array_equal(loaded_labels, labels)
    assert sorted(path.name for path in (tmp_path / "train").iterdir()) == ["images.npy", "labels.npy"]
