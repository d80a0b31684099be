"""Predictions of any number of pictures, listed as they come: a table, CSV or JSON.

They come in batches: what is in memory does not depend on how many there are.
"""

import contextlib
import csv
import io
import itertools
import json
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

import click
import numpy as np
from tqdm import tqdm

from pipeline.core import files
from pipeline.core.errors import printable
from pipeline.core.progress import Progress
from pipeline.data.cifar10 import CLASSES
from pipeline.serving import pictures
from pipeline.serving.load import Model

BATCH = 100  # pictures
WIDTH = max(map(len, CLASSES))


@dataclass
class Prediction:
    """What a model says of a file: probabilities float32 (10,), or the reason why it could not be read."""

    path: Path
    probabilities: np.ndarray | None = None
    reason: str | None = None

    def best(self, count: int) -> list[tuple[str, float]]:
        """The `count` most probable classes and their probabilities, the most probable first; none without these."""
        if self.probabilities is None:
            return []
        order = np.argsort(-self.probabilities, kind="stable")[:count]
        return [(CLASSES[index], float(self.probabilities[index])) for index in order]


def predict(paths: Iterable[Path], model: Model) -> Iterator[Prediction]:
    """Yield a prediction for each file, in their order. A file that cannot be read does not keep the others from it."""
    waiting = map(Prediction, paths)
    while batch := list(itertools.islice(waiting, BATCH)):
        images = []
        for prediction in batch:
            try:
                images.append(pictures.read(prediction.path))
            except pictures.Unreadable as error:
                prediction.reason = str(error)
        probabilities = iter(model(np.stack(images)) if images else ())
        for prediction in batch:
            if prediction.reason is None:
                prediction.probabilities = next(probabilities)
            yield prediction


def write(predictions: Iterable[Prediction], count: int, form: str, top: int, output: Path | None) -> int:
    """List `count` predictions in a form of FORMATS, with the `top` most probable classes; return how many have none.

    `output`: a file that is written whole or not at all; None is standard output, as they come. What could not be read,
    and the progress, go to stderr.
    """
    waiting, unreadable = iter(predictions), 0
    begun = list(itertools.islice(waiting, 1))  # now the model is loaded: that may fail, and is no measure of the rest
    with contextlib.ExitStack() as stack:
        stream: TextIO = sys.stdout
        if output:
            temporary = stack.enter_context(files.replacing(output))
            # A name may be no text.
            stream = stack.enter_context(temporary.open("w", encoding="utf-8", errors="backslashreplace", newline=""))
        progress = None
        if count > BATCH:  # others come all at once
            progress = stack.enter_context(Progress("predict", count, " pictures", file=sys.stderr))

        def reported() -> Iterator[Prediction]:
            nonlocal unreadable
            for prediction in itertools.chain(begun, waiting):
                if prediction.reason is not None:
                    unreadable += 1
                    line = printable(f"{prediction.path}: {prediction.reason}")
                    _say(f"{click.style('unreadable:', fg='red')} {line}\n", sys.stderr)
                yield prediction
                if progress is not None:
                    progress.update()

        for text in FORMATS[form](reported(), top):
            _say(text, stream)
    return unreadable


def table(predictions: Iterable[Prediction], top: int) -> Iterator[str]:
    """Aligned columns, the file last. Files that could not be read are left out."""
    heading = [f"{'class':<{WIDTH}}  probability"] * top
    yield click.style("  ".join([*heading, "file"]), bold=True) + "\n"
    for prediction in predictions:
        if best := [f"{name:<{WIDTH}}  {share:>11.1%}" for name, share in prediction.best(top)]:
            yield "  ".join([*best, printable(str(prediction.path))]) + "\n"


def comma_separated(predictions: Iterable[Prediction], top: int) -> Iterator[str]:
    """CSV (RFC 4180, but for its line ends): file, class, probability, class_2 and so on, error."""
    numbers = ["", *(f"_{place}" for place in range(2, top + 1))]
    yield _row(["file", *(f"{name}{number}" for number in numbers for name in ("class", "probability")), "error"])
    for prediction in predictions:
        best = [value for name, share in prediction.best(top) for value in (name, f"{share:.6f}")]
        yield _row([prediction.path, *(best or [""] * 2 * top), prediction.reason])


def json_array(predictions: Iterable[Prediction], top: int) -> Iterator[str]:
    """An array of objects, one a line: file, class, probability, probabilities by class (the best first); or error."""
    yield "["
    for number, prediction in enumerate(predictions):
        entry: dict[str, Any] = {"error": prediction.reason}
        if best := {name: round(share, 6) for name, share in prediction.best(top)}:
            name = next(iter(best))
            entry = {"class": name, "probability": best[name], "probabilities": best}
        yield f"{',' if number else ''}\n{json.dumps({'file': str(prediction.path)} | entry)}"
    yield "\n]\n"


FORMATS = {"table": table, "csv": comma_separated, "json": json_array}


def _row(values: list) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(values)
    return text.getvalue()


def _say(text: str, stream: TextIO) -> None:
    """Write text; a progress bar on the same terminal makes way for it."""
    with tqdm.external_write_mode(stream) if stream.isatty() else contextlib.nullcontext():
        click.echo(text, stream, nl=False)
