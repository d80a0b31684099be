"""Near-duplicates between two sets of images, found by their pixels and by their outlines, mirrored ones included.

A description is a float32 vector of zero mean and length 1, so that the likeness of two images is a scalar product, at
most 1. No labels and no network are involved.
"""

from collections.abc import Callable

import numpy as np
import pandas as pd

from pipeline.core.schema import Duplicates

BLOCK = 500  # images that are compared with all others at once
CELLS, ORIENTATIONS = 4, 8  # of outlines: 4 x 4 cells of 8 x 8 pixels


def find(images: np.ndarray, others: np.ndarray, settings: Duplicates, progress: Callable[[int], None]) -> pd.DataFrame:
    """Each pair of near-duplicates: a row with image and other (indices), mirrored, pixels, outlines (likenesses).

    `images`, `others`: uint8 (N, 32, 32, 3) and (M, 32, 32, 3). A pair is one if its outlines are alike by
    `settings.outlines`, or by `settings.outlines_and_pixels` and the pixels by `settings.pixels`. The most alike come
    first. `progress` is told how many images are done, 2 N in all.
    """
    known = pixels(others), outlines(others)
    found = []
    for mirrored in (False, True):
        for start in range(0, len(images), BLOCK):
            block = images[start : start + BLOCK, :, :: -1 if mirrored else 1]
            by_pixels, by_outlines = pixels(block) @ known[0].T, outlines(block) @ known[1].T
            both = (by_outlines >= settings.outlines_and_pixels) & (by_pixels >= settings.pixels)
            image, other = np.nonzero(both | (by_outlines >= settings.outlines))
            pairs = {"image": image + start, "other": other, "mirrored": mirrored}
            likeness = {"pixels": by_pixels[image, other], "outlines": by_outlines[image, other]}
            found.append(pd.DataFrame(pairs | likeness))
            progress(len(block))
    pairs = pd.concat(found, ignore_index=True)
    order = (-pairs["pixels"] - pairs["outlines"]).argsort(kind="stable")
    return pairs.iloc[order].drop_duplicates(["image", "other"]).reset_index(drop=True)


def pixels(images: np.ndarray) -> np.ndarray:
    """Describe images uint8 (N, 32, 32, 3) by their pixels at half the size: (N, 768)."""
    halves = images.reshape(-1, 16, 2, 16, 2, 3).mean(axis=(2, 4), dtype="float32")
    return _unit(halves.reshape(len(images), -1))


def outlines(images: np.ndarray) -> np.ndarray:
    """Describe images uint8 (N, 32, 32, 3) by how strong edges of each direction are in each cell: (N, 128).

    Histograms of oriented gradients (Dalal and Triggs, 2005, doi:10.1109/CVPR.2005.177), of the mean of the colours,
    with square roots in place of normalised blocks.
    """
    parts = [_histograms(images[start : start + BLOCK]) for start in range(0, len(images), BLOCK)]
    return _unit(np.sqrt(np.concatenate(parts)))


def _histograms(images: np.ndarray) -> np.ndarray:
    down, across = np.gradient(images.mean(axis=3, dtype="float32"), axis=(1, 2))
    strength = np.hypot(across, down)
    direction = np.arctan2(down, across) / (2 * np.pi) % 1 * ORIENTATIONS
    lower = direction.astype(int)
    cell = np.arange(32) * CELLS // 32
    place = np.arange(len(images))[:, None, None] * CELLS**2 + cell[:, None] * CELLS + cell
    histograms = np.zeros(len(images) * CELLS**2 * ORIENTATIONS)
    for share, orientation in ((1 - (direction - lower), lower), (direction - lower, lower + 1)):
        bins = (place * ORIENTATIONS + orientation % ORIENTATIONS).ravel()
        histograms += np.bincount(bins, (share * strength).ravel(), len(histograms))
    return histograms.reshape(len(images), -1).astype("float32")


def _unit(vectors: np.ndarray) -> np.ndarray:
    """Of zero mean and length 1; those of plain images, which have no length, stay zero."""
    vectors = vectors - vectors.mean(axis=1, keepdims=True)
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-6)
