"""A Keras model as files for small devices: LiteRT in three number formats, and ONNX."""

import tempfile
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pipeline.core.files import replacing

if TYPE_CHECKING:
    import keras  # its backend is chosen first

SUFFIXES = {"litert": "tflite", "onnx": "onnx"}


@dataclass(frozen=True)
class Variant:
    format: str  # litert or onnx
    precision: str  # of the weights, and with int8 of the activations, too: float32, float16 or int8

    @property
    def file(self) -> str:
        return f"{self.precision}.{SUFFIXES[self.format]}"


VARIANTS = [Variant("litert", precision) for precision in ("float32", "float16", "int8")] + [Variant("onnx", "float32")]


class Unconverted(Exception):
    """A converter did not take the model; the message is its reason."""


def convert(model: "keras.Model", variant: Variant, path: Path, calibration: np.ndarray) -> None:
    """Write a served Keras model (uint8 images (N, 32, 32, 3) to probabilities (N, 10), float32) to a file.

    The file takes and gives the same as the model; a LiteRT file takes one image at a time. `calibration`: images uint8
    (N, 32, 32, 3) that int8's ranges are measured on. Keras' backend must be TensorFlow. Raises Unconverted.
    """
    try:
        with warnings.catch_warnings(action="ignore"), replacing(path) as temporary:
            if variant.format == "onnx":
                model.export(str(temporary), format="onnx", verbose=False, input_signature=_signature(None))
            else:
                temporary.write_bytes(litert(model, variant.precision, calibration))
    except OSError:
        raise
    except Exception as error:  # the converters have no class of their own for what they do not take
        raise Unconverted(" ".join(f"{type(error).__name__}: {error}".split())[:300]) from error


def litert(model: "keras.Model", precision: str, calibration: np.ndarray, batch: int = 1) -> bytes:
    """The content of a LiteRT file that takes `batch` images at a time; see `convert`."""
    import tensorflow as tf

    with tempfile.TemporaryDirectory() as folder:
        model.export(folder, format="tf_saved_model", verbose=False, input_signature=_signature(batch))
        converter = tf.lite.TFLiteConverter.from_saved_model(folder)
        if precision != "float32":
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
        if precision == "float16":
            converter.target_spec.supported_types = [tf.float16]
        if precision == "int8":
            converter.representative_dataset = lambda: ([image[None]] for image in calibration)
        return without_names(converter.convert())


def without_names(content: bytes) -> bytes:
    """A LiteRT file without its tensors' names, which no runtime needs; the signature keeps those it is called by."""
    from tensorflow.lite.tools import flatbuffer_utils

    model = flatbuffer_utils.convert_bytearray_to_object(bytearray(content))
    for graph in model.subgraphs:
        for tensor in graph.tensors:
            tensor.name = None
    return bytes(flatbuffer_utils.convert_object_to_bytearray(model))


def _signature(batch: int | None) -> list:
    """Keras' description of the images; None: as many as one likes."""
    import keras

    return [keras.InputSpec(shape=(batch, 32, 32, 3), dtype="uint8", name="images")]
