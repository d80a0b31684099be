"""A model, from wherever it is kept, as a function: images uint8 (N, 32, 32, 3) to probabilities float32 (N, 10)."""

import math
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.core import environment
from pipeline.core.errors import UserError
from pipeline.formats import keras_archive

Model = Callable[[np.ndarray], np.ndarray]
IMAGES, PROBABILITIES = (None, 32, 32, 3), (None, 10)  # shapes
LARGEST = 2_000_000  # numbers that a layer may make of an image: the networks here make 230,496 at most


def check(address: str) -> None:
    """Raise UserError if it names a file that is not there, or of another kind. Imports nothing, and reads nothing."""
    path = Path(address)
    if path.suffix in FILES:
        if not path.is_file():
            raise UserError(f"{path} is no file")
    elif path.suffix.lower() in FILES:  # Keras and ONNX Runtime refuse it
        raise UserError(f"{path} needs a suffix in small letters: rename it to {path.with_suffix(path.suffix.lower())}")
    elif path.suffix or len(path.parts) > 1:
        kinds = ", ".join(FILES)
        raise UserError(f"{path} is no {kinds} file, and no version, alias (@champion) or stage (Production)")


def load(address: str) -> tuple[str, Model]:
    """A model and how to call it in a message. `address`: a file, or a version, alias or stage in the registry.

    Raises UserError as `check`, if there is no such version, or if the model takes or gives something else.
    """
    check(address)
    path = Path(address)
    if path.suffix:
        return address, FILES[path.suffix](path)
    params = environment.check(write=False)
    from pipeline.registry import versions  # MLflow takes seconds: files do without, and so does what is wrong
    from pipeline.tracking import store

    store.connect(params, write=False)
    version = versions.resolve(params.registry.model, address)
    return f"{version.name} version {version.version}", registered(version).predict_on_batch


def registered(version: Any) -> Any:
    """Return the Keras model of a version in the registry. Raises UserError as `load`."""
    from pipeline.tracking import logged_models

    with tempfile.TemporaryDirectory() as folder:
        return _keras(logged_models.fetch_served(version, Path(folder)) / logged_models.KERAS)


def _keras(path: Path) -> Any:
    environment.check_backend()
    from pipeline.formats import keras_model  # TensorFlow takes seconds: exported files do without

    model = keras_model.load(path)
    _require(path, [getattr(model, "input_shape", None)], [getattr(model, "output_shape", None)])
    for layer in model._flatten_layers(include_self=False):  # those of a model within the model, too
        for tensor in [output for node in layer._inbound_nodes for output in node.output_tensors]:
            numbers = math.prod(size or 1 for size in tensor.shape[1:])
            if numbers > LARGEST:
                name = layer.name
                raise UserError(f"{path} takes too much memory: its layer {name} makes {numbers:,} numbers of an image")
    return model


def _exported(path: Path) -> Model:
    """A LiteRT or an ONNX file. LiteRT takes one image after the other."""
    from pipeline.export import runtimes

    try:
        predict = runtimes.load(path, os.cpu_count() or 1)
        found = predict(np.zeros((1, *IMAGES[1:]), "uint8"))
    except Exception as error:  # the runtimes' exceptions have no class in common
        raise keras_archive.refused(path, error) from None
    _require(path, [IMAGES], [(None, *found.shape[1:])])
    return lambda images: np.concatenate([predict(image[None]) for image in images])


def _require(path: Path, inputs: list, outputs: list) -> None:
    """Raise UserError unless these are the shapes, but for the number of images, of one input and one output."""
    if inputs != [IMAGES] or outputs != [PROBABILITIES]:
        raise UserError(f"{path} takes {inputs} and gives {outputs}: a model of images {IMAGES} is needed")


FILES = {".keras": lambda path: _keras(path).predict_on_batch, ".tflite": _exported, ".onnx": _exported}
