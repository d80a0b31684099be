"""Predictions listed as they come: a table, CSV or JSON; what could not be read, and the progress, on stderr."""

import contextlib
import csv
import io
import itertools
import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, TextIO

import click
from tqdm import tqdm

from pipeline.core import files
from pipeline.core.errors import printable
from pipeline.core.progress import Progress
from pipeline.data.cifar10 import CLASSES
from pipeline.serving.predict import BATCH, Prediction

WIDTH = max(map(len, CLASSES))


def write(predictions: Iterable[Prediction], count: int, form: str, top: int, output: Path | None) -> int:
    """List `count` predictions in a form of FORMATS, with the `top` most probable classes; return how many have none.

    `output`: a file that is written whole or not at all; None is standard output, as they come.
    """
    waiting, unreadable = iter(predictions), 0
    begun = list(itertools.islice(waiting, 1))  # now the model is loaded: that may fail, and is no measure of the rest

    def reported() -> Iterator[Prediction]:
        nonlocal unreadable
        for prediction in _progressing(itertools.chain(begun, waiting), count):
            if prediction.reason is not None:
                unreadable += 1
                told = printable(f"{prediction.path}: {prediction.reason}")
                _say(f"{click.style('unreadable:', fg='red')} {told}\n", sys.stderr)
            yield prediction

    with _opened(output) as stream:
        for text in FORMATS[form](reported(), top):
            _say(text, stream)
    return unreadable


def table(predictions: Iterable[Prediction], top: int) -> Iterator[str]:
    """Aligned columns, the file last. Files that could not be read are left out."""
    heading = [f"{'class':<{WIDTH}}  probability"] * top
    yield click.style("  ".join([*heading, "file"]), bold=True) + "\n"
    for prediction in predictions:
        if prediction.reason is None:
            best = [f"{name:<{WIDTH}}  {share:>11.1%}" for name, share in prediction.best(top)]
            yield "  ".join([*best, printable(str(prediction.path))]) + "\n"


def comma_separated(predictions: Iterable[Prediction], top: int) -> Iterator[str]:
    """CSV (RFC 4180, but for its line ends): file, class, probability, class_2 and so on, error."""
    numbers = ["", *(f"_{place}" for place in range(2, top + 1))]
    yield _row(["file", *(f"{name}{number}" for number in numbers for name in ("class", "probability")), "error"])
    for prediction in predictions:
        if prediction.reason is None:
            best = [value for name, share in prediction.best(top) for value in (name, f"{share:.6f}")]
            yield _row([str(prediction.path), *best, ""])
        else:
            yield _row([str(prediction.path), *[""] * 2 * top, prediction.reason])


def json_array(predictions: Iterable[Prediction], top: int) -> Iterator[str]:
    """An array of objects, one a line: file, class, probability, probabilities by class (the best first); or error."""
    begin = "["
    for prediction in predictions:
        entry: dict[str, Any] = {"file": str(prediction.path)}
        if prediction.reason is None:
            best = {name: round(share, 6) for name, share in prediction.best(top)}
            name = next(iter(best))
            entry |= {"class": name, "probability": best[name], "probabilities": best}
        else:
            entry |= {"error": prediction.reason}
        yield f"{begin}\n{json.dumps(entry)}"
        begin = ","
    yield "[]\n" if begin == "[" else "\n]\n"


FORMATS = {"table": table, "csv": comma_separated, "json": json_array}


def _row(values: list[str]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(values)
    return text.getvalue()


def _progressing(predictions: Iterable[Prediction], count: int) -> Iterator[Prediction]:
    if count <= BATCH:  # which come all at once
        yield from predictions
        return
    with Progress("predict", count, " pictures", file=sys.stderr) as progress:
        for prediction in predictions:
            yield prediction
            progress.update()


def _say(text: str, stream: TextIO) -> None:
    """Write text; a progress bar on the same terminal makes way for it."""
    with tqdm.external_write_mode(stream) if stream.isatty() else contextlib.nullcontext():
        click.echo(text, stream, nl=False)


@contextlib.contextmanager
def _opened(output: Path | None) -> Iterator[TextIO]:
    if output is None:
        yield sys.stdout
        return
    with (
        files.replacing(output) as temporary,
        temporary.open("w", encoding="utf-8", errors="backslashreplace", newline="") as stream,  # a name may be no text
    ):
        yield stream
