"""Pictures of CIFAR-10 images in rows and columns, with a line of text each, as PNG files."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image, ImageDraw

from pipeline.core.files import replacing

SIDE, GAP, LINE = 64, 8, 12  # pixels: an image, the space between two, a line of text
WIDE = 96  # pixels of a column, so that two class names fit
COLUMNS = 10  # of samples and pairs


def samples(path: Path, images: np.ndarray, labels: np.ndarray, classes: Sequence[str]) -> None:
    """Write a row a class, COLUMNS images each. `images`: uint8 (N, 32, 32, 3). `labels`: (N,)."""
    tiles = []
    for number, name in enumerate(classes):
        chosen = np.flatnonzero(labels == number)[:COLUMNS]
        tiles += [(images[index], name if place == 0 else "") for place, index in enumerate(chosen)]
        tiles += [(np.full((32, 32, 3), 255, "uint8"), "")] * (COLUMNS - len(chosen))
    _write(path, tiles, COLUMNS)


def pairs(path: Path, images: np.ndarray, others: np.ndarray, chosen: pd.DataFrame) -> None:
    """Write pairs of near-duplicates: the test image, mirrored if the pair is, above the other, and both likenesses.

    `images`, `others`: uint8 (N, 32, 32, 3). `chosen`: image, other, mirrored, outlines, pixels.
    """
    tiles = []
    for pair in chosen.itertuples():
        image = images[pair.image][:, :: -1 if pair.mirrored else 1]
        tiles.append((np.concatenate([image, others[pair.other]]), f"{pair.outlines:.2f}  {pair.pixels:.2f}"))
    _write(path, tiles, COLUMNS)


def mistakes(path: Path, images: np.ndarray, worst: pd.DataFrame) -> None:
    """Write the worst mistakes: the class that was predicted, how surely, and the label. `images`: the test images."""
    tiles = [(images[row.image], f"{row.predicted} {row.confidence:.0%}\nis {row.label}") for row in worst.itertuples()]
    _write(path, tiles, columns=5)


def _write(path: Path, tiles: Sequence[tuple[np.ndarray, str]], columns: int) -> None:
    """Write a PNG file: images uint8 (height, width, 3), all of one shape, SIDE pixels wide, each below its text.

    A text may have several lines. Without tiles the picture is one empty cell.
    """
    lines = max((text.count("\n") + 1 for _, text in tiles if text), default=0)
    height = max((image.shape[0] * SIDE // image.shape[1] for image, _ in tiles), default=SIDE)
    cell = lines * LINE + height + GAP
    rows = max(-(-len(tiles) // columns), 1)
    sheet = Image.new("RGB", (columns * WIDE, rows * cell + GAP), "white")
    draw = ImageDraw.Draw(sheet)
    for number, (image, text) in enumerate(tiles):
        row, column = divmod(number, columns)
        left, top = column * WIDE + GAP // 2, row * cell + GAP
        draw.multiline_text((left, top), text, fill="black", spacing=1, font_size=10)
        enlarged = Image.fromarray(image).resize((SIDE, height), Image.Resampling.NEAREST)
        sheet.paste(enlarged, (left, top + lines * LINE))
    with replacing(path) as temporary:
        sheet.save(temporary, "PNG", optimize=True)
