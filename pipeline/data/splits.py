"""The train, validation and test images as arrays on disk."""

from pathlib import Path

import numpy as np

from pipeline.core import paths
from pipeline.core.files import write_array
from pipeline.data import seal


def save(folder: Path, images: np.ndarray, labels: np.ndarray) -> None:
    """Write images.npy and labels.npy into `folder`."""
    for name, array in (("images", images), ("labels", labels)):
        write_array(folder / f"{name}.npy", array)


def load(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return what `save` wrote: images uint8 (N, 32, 32, 3), labels uint8 (N,)."""
    return images(folder), labels(folder)


def images(folder: Path) -> np.ndarray:
    return np.load(folder / "images.npy")


def labels(folder: Path) -> np.ndarray:
    """Raises UserError if they are those of the test images, and may not be read now."""
    if folder.resolve() == paths.TEST.resolve():
        seal.check()
    return np.load(folder / "labels.npy")
