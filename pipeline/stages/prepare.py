"""Stage `prepare`: train, validation and test images as arrays; class counts, identical images."""

from pathlib import Path

import numpy as np

from pipeline.core import environment, errors, paths
from pipeline.core.files import write_json
from pipeline.core.schema import Params
from pipeline.data import cifar10, splits

NEEDED = 200_000_000  # bytes


def main() -> None:
    params = environment.check()
    errors.require_space(paths.TRAIN.parent, NEEDED)
    made = make_splits(params)
    for folder, (images, labels) in made.items():
        splits.save(folder, images, labels)
    train, validation, test = (images for images, _ in made.values())
    report = {
        "classes": {folder.name: counts(labels) for folder, (_, labels) in made.items()},
        "identical_images": {
            "within_train": len(train) - len(digests(train)),
            "train_validation": shared(train, validation),
            "train_test": shared(train, test),
            "validation_test": shared(validation, test),
        },
    }
    write_json(paths.REPORTS / "data.json", report)
    print(*(f"{folder}: {len(labels)} images" for folder, (_, labels) in made.items()), sep="\n")
    print(f"byte-identical images: {report['identical_images']}")


def make_splits(params: Params) -> dict[Path, tuple[np.ndarray, np.ndarray]]:
    """Images and labels by folder: TRAIN, VALIDATION, TEST, in this order."""
    images, labels = cifar10.read_batches(paths.RAW, cifar10.TRAINING_BATCHES)
    test_images, test_labels = cifar10.read_batches(paths.RAW, ["test_batch.bin"])
    train, validation = cifar10.split(labels, params.data.validation_images, params.seed)
    train = limited(train, labels, params.data.subset.train, params.seed)
    test = limited(np.arange(len(test_labels)), test_labels, params.data.subset.test, params.seed)
    return {
        paths.TRAIN: (images[train], labels[train]),
        paths.VALIDATION: (images[validation], labels[validation]),
        paths.TEST: (test_images[test], test_labels[test]),
    }


def limited(indices: np.ndarray, labels: np.ndarray, size: int | None, seed: int) -> np.ndarray:
    """A stratified choice of `size` of the indices; all of them if `size` is null."""
    if size is None:
        return indices
    if not 10 <= size <= len(indices) - 10:
        raise errors.UserError(f"data.subset: {size} of {len(indices)} images: give 10 to {len(indices) - 10}, or null")
    return indices[cifar10.split(labels[indices], size, seed)[1]]


def counts(labels: np.ndarray) -> dict[str, int]:
    return dict(zip(cifar10.CLASSES, np.bincount(labels, minlength=10).tolist(), strict=True))


def digests(images: np.ndarray) -> set[bytes]:
    return {image.tobytes() for image in images}


def shared(images: np.ndarray, others: np.ndarray) -> int:
    """How many of `others` are byte-identical to one of `images`."""
    known = digests(images)
    return sum(image.tobytes() in known for image in others)
