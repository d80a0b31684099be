"""The data set as Parquet files of PNG images gives the official batches, or nothing."""

import io

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from pipeline.core.errors import UserError
from pipeline.core.schema import LocalSource
from pipeline.data import cifar10, parquet, sources
from pipeline.data.download import Unreachable

ORDER = ["data_batch_4.bin", "data_batch_3.bin", "data_batch_2.bin", "data_batch_5.bin", "data_batch_1.bin"]


def png(image: np.ndarray, compression: int = 0) -> bytes:
    content = io.BytesIO()
    Image.fromarray(image).save(content, "PNG", compress_level=compression)
    return content.getvalue()


@pytest.fixture(scope="module")
def cells(images) -> tuple[list[bytes], list[int]]:
    """The test images as PNG, and their labels."""
    return [png(image) for image in images[0]], images[1].tolist()


@pytest.fixture
def write(tmp_path):
    """Write a file with these columns, images as structs; return its path."""

    def written(images: list, labels: list, name="test.parquet", column="img", structs=True):
        cells = pa.array([{"bytes": image, "path": None} for image in images] if structs else images)
        pq.write_table(pa.table({column: cells, "label": labels}), tmp_path / name)
        return tmp_path / name

    return written


@pytest.mark.parametrize(("column", "structs"), [("img", True), ("image", False)])
def test_the_rows_become_an_official_batch(column, structs, cells, write, raw):
    (made,) = parquet.batches(write(*cells, column=column, structs=structs))
    assert made == ("test_batch.bin", (raw / "test_batch.bin").read_bytes())


@pytest.mark.slow
def test_a_folder_of_parquet_files_gives_the_six_batches_in_whatever_order_they_are(
    bare, cells, write, raw, tmp_path, checked, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    images, labels = cifar10.read_batches(raw, ORDER)
    write([png(image) for image in images], labels.tolist(), "train-00000-of-00001.parquet")
    write(*cells, "test-00000-of-00001.parquet")
    sources.obtain([LocalSource(type="local", path=str(tmp_path))], tmp_path / "data/raw", checked.http)
    cifar10.verify(tmp_path / "data/raw", cifar10.BATCHES)


def changed(values: list, value: object) -> list:
    return [*values[:7], value, *values[8:]]


@pytest.mark.parametrize(
    ("harm", "told"),
    [
        (lambda images, labels: (images[:-1], labels[:-1]), "has 9999 rows"),
        (lambda images, labels: (images[::-1], labels[::-1]), "rows 0 to 10000 are no official batch"),
        (lambda images, labels: (images, changed(labels, 10)), "a label is 10"),
        (lambda images, labels: (images, changed(labels, None)), "a label is None"),
        (lambda images, labels: (changed(images, b"no picture"), labels), "cannot identify image"),
        (lambda images, labels: (changed(images, None), labels), "no PNG"),
        (lambda images, labels: (changed(images, bytes(20_000)), labels), "no PNG"),
        (
            lambda images, labels: (changed(images, png(np.zeros((99, 99, 3), "uint8"), 1)), labels),
            "has 99 by 99 pixels",
        ),
        (
            lambda images, labels: (changed(images, png(np.zeros((3000, 3000, 3), "uint8"), 1)[:9000]), labels),
            "has 3000 by 3000 pixels",
        ),
    ],
)
def test_what_is_not_the_data_set_is_refused(harm, told, cells, write):
    with pytest.raises(Unreachable, match=told):
        list(parquet.batches(write(*harm(*cells))))


@pytest.mark.parametrize("content", [b"", b"PAR1", b"PAR1" + bytes(1000) + b"PAR1", b"no parquet at all"])
def test_a_file_that_is_no_parquet_is_refused(content, tmp_path):
    (tmp_path / "x.parquet").write_bytes(content)
    with pytest.raises(Unreachable, match="is not the data set as Parquet"):
        list(parquet.batches(tmp_path / "x.parquet"))


def test_other_columns_are_refused(write, cells):
    with pytest.raises(Unreachable, match="its columns are picture, label"):
        list(parquet.batches(write(*cells, column="picture")))


def test_a_folder_with_one_file_only_is_refused_in_one_line(cells, write, tmp_path, checked, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(sources.ENVIRONMENT, str(tmp_path))
    write(*cells)
    with pytest.raises(UserError, match=r"has 0 files train\*.parquet: one is needed"):
        sources.obtain([], tmp_path / "data/raw", checked.http)
    assert not (tmp_path / "data/raw").exists()
