"""CIFAR-10 (Krizhevsky, 2009): the official batches and their checksums, the binary reader, the split."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from pipeline.core.errors import UserError
from pipeline.core.files import checksum

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
RECORD = 1 + 32 * 32 * 3  # bytes an image: label, then red, green and blue planes
BATCHES = {  # official MD5s, from the data set's own distribution
    "data_batch_1.bin": "5dd7e06a14cb22eb9f671a540d1b7c25",
    "data_batch_2.bin": "5ea93a67294ea407fff1d09f752e9692",
    "data_batch_3.bin": "942cd6a4bcdd0dd3c604fbe906cb4421",
    "data_batch_4.bin": "ae636b3ba5c66a11e91e8cb52e771fcb",
    "data_batch_5.bin": "53f37980c15c3d472c316c40844f3f0d",
    "test_batch.bin": "803d5f7f4d78ea53de84dbe85f74fb6d",
}
TRAINING_BATCHES = [name for name in BATCHES if name.startswith("data_batch")]


def faults(folder: Path, names: Iterable[str]) -> dict[str, str]:
    """What is wrong, by name, with those of the named batches that are not the official ones."""
    wrong = {}
    for name in names:
        path = folder / name
        if not path.is_file():
            wrong[name] = "is missing"
        elif (found := checksum(path, "md5")) != BATCHES[name]:
            wrong[name] = f"is corrupted or truncated: MD5 {found}, expected {BATCHES[name]}"
    return wrong


def verify(folder: Path, names: Iterable[str]) -> None:
    """Raise UserError unless the batches of these names lie in `folder` with their official checksums."""
    for name, fault in faults(folder, names).items():
        raise UserError(f"{folder / name} {fault}; run `dvc repro --force download`")


def read_batches(folder: Path, names: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """Return images uint8 (N, 32, 32, 3) and labels uint8 (N,) in 0 to 9.

    Raises UserError if a batch is missing or does not have its official checksum.
    """
    verify(folder, names)
    records = np.concatenate([np.fromfile(folder / name, "uint8").reshape(-1, RECORD) for name in names])
    images = records[:, 1:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
    return np.ascontiguousarray(images), records[:, 0].copy()


def to_binary(images: np.ndarray, labels: np.ndarray) -> bytes:
    """Images uint8 (N, 32, 32, 3) and labels uint8 (N,) in the layout of the official batches."""
    planes = images.transpose(0, 3, 1, 2).reshape(len(images), -1)
    return np.concatenate([labels[:, None], planes], axis=1).tobytes()


def split(labels: np.ndarray, size: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Indices of the two parts of a stratified, seeded split, each sorted; the second has `size` elements."""
    from sklearn.model_selection import train_test_split  # seconds to import, for the one stage that splits

    rest, chosen = train_test_split(np.arange(len(labels)), test_size=size, stratify=labels, random_state=seed)
    return np.sort(rest), np.sort(chosen)
