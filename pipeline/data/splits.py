"""The images as arrays on disk, and the seal on the test labels: only what reports scores may read them."""

import sys
from pathlib import Path

import numpy as np

from pipeline.core import paths
from pipeline.core.errors import UserError
from pipeline.core.files import write_array

READERS = {  # modules that Python was started with, and that may read the test labels
    "pipeline.stages.evaluate",
    "pipeline.stages.ensemble",  # once its choice is written
    "benchmarks.seeds",  # scores finished models, a row of a table each
}


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
    """Raises UserError if they are those of the test images, and this process may not read them now."""
    if folder.resolve() == paths.TEST.resolve():
        reader, allowed = getattr(sys.modules["__main__"].__spec__, "name", "this program"), ", ".join(sorted(READERS))
        if reader not in READERS:
            raise UserError(f"the test labels are sealed, and {reader} may not read them: only {allowed}")
        if reader == "pipeline.stages.ensemble" and not paths.VOTE.exists():
            raise UserError(f"the test labels are sealed until {paths.VOTE} says what was chosen without them")
    return np.load(folder / "labels.npy")
