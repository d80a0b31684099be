"""Exported files, run by LiteRT and by ONNX Runtime."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

Predict = Callable[[np.ndarray], np.ndarray]


def load(path: Path, threads: int) -> Predict:
    """A function from uint8 images to what the file makes of them, with that many threads.

    Raises whatever the runtime does if it refuses the file, then or at a prediction: neither has a class for it.
    """
    if path.suffix != ".onnx":
        return litert(path.read_bytes(), threads)
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    (source,), (result,) = session.get_inputs(), session.get_outputs()
    return lambda images: session.run([result.name], {source.name: images})[0]


def litert(content: bytes, threads: int) -> Predict:
    """The same for the content of a LiteRT file, which takes as many images at a time as it was made for."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=content, num_threads=threads)
    interpreter.allocate_tensors()
    (source,), (result,) = interpreter.get_input_details(), interpreter.get_output_details()

    def predict(images: np.ndarray) -> np.ndarray:
        interpreter.set_tensor(source["index"], images)
        interpreter.invoke()
        return interpreter.get_tensor(result["index"])

    return predict
