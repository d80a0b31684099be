"""CIFAR-10 as Parquet files of PNG images, as data set hubs serve it, turned back into the official batches."""

import hashlib
import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from PIL import Image
from pyarrow import ArrowException

from pipeline.data.cifar10 import BATCHES, to_binary
from pipeline.data.download import Unreachable

ROWS = 10_000  # of a batch
ROW_GROUP = 1 << 30  # bytes, unpacked: a larger one is not of these small images
PNG = 10_000  # bytes of an image: raw it has 3,072


def batches(*files: Path) -> Iterator[tuple[str, bytes]]:
    """Name and content of the official batches in the files: every 10,000 rows are one, in whatever order they come.

    A file has the columns `img` or `image` (PNG images, or structs with them under `bytes`) and `label` (integers 0 to
    9). Raises Unreachable if it is not so, or rows are no official batch.
    """
    names = {digest: name for name, digest in BATCHES.items()}
    for path in files:
        try:
            for number, (images, labels) in enumerate(_blocks(path)):
                content = to_binary(images, labels)
                name = names.get(hashlib.md5(content).hexdigest())
                if name is None:
                    rows = f"rows {number * ROWS} to {(number + 1) * ROWS}"
                    raise Unreachable(f"{path.name}: {rows} are no official batch")
                yield name, content
        except (ArrowException, OSError, ValueError) as error:
            raise Unreachable(f"{path.name} is not the data set as Parquet: {error}") from None


def _blocks(path: Path) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Images uint8 (10,000, 32, 32, 3) and labels uint8 (10,000,)."""
    with pq.ParquetFile(path) as file:
        column = next((name for name in ("img", "image") if name in file.schema_arrow.names), None)
        if column is None or "label" not in file.schema_arrow.names:
            raise ValueError(f"its columns are {', '.join(file.schema_arrow.names)}")
        groups = [file.metadata.row_group(number).total_byte_size for number in range(file.num_row_groups)]
        if file.metadata.num_rows % ROWS or max(groups, default=0) > ROW_GROUP:
            raise ValueError(f"it has {file.metadata.num_rows} rows, in groups of up to {max(groups, default=0)} bytes")
        images, labels = [], []
        for batch in file.iter_batches(1000, columns=[column, "label"]):
            rows = batch.to_pydict()
            if wrong := [label for label in rows["label"] if label not in range(10)]:
                raise ValueError(f"a label is {wrong[0]!r:.20}")
            images += [_pixels(row) for row in rows[column]]
            labels += rows["label"]
            while len(images) >= ROWS:
                yield np.stack(images[:ROWS]), np.array(labels[:ROWS], "uint8")
                del images[:ROWS], labels[:ROWS]


def _pixels(cell: dict | bytes) -> np.ndarray:
    content = cell.get("bytes") if isinstance(cell, dict) else cell
    if not isinstance(content, bytes) or len(content) > PNG:
        raise ValueError("an image is no PNG of 32 by 32 pixels")
    with Image.open(io.BytesIO(content), formats=["PNG"]) as image:
        if image.size != (32, 32):  # known before it is unpacked
            raise ValueError(f"an image has {image.size[0]} by {image.size[1]} pixels")
        return np.asarray(image.convert("RGB"))
