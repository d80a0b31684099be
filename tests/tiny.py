"""Small models of the kind that is served, untrained: uint8 (N, 32, 32, 3) to probabilities (N, 10)."""

from pathlib import Path

import numpy as np
from PIL import Image


def keras_model(path: Path):
    """Save one, and return it."""
    import keras

    from pipeline.layers import wrappers

    keras.utils.set_random_seed(0)
    inputs = keras.Input((32, 32, 3), dtype="uint8", name="images")
    pooled = keras.layers.AveragePooling2D(4)(keras.layers.Rescaling(1 / 255)(inputs))
    logits = keras.layers.Dense(10)(keras.layers.Flatten()(pooled))
    model = wrappers.calibrated(keras.Model(inputs, logits, name="tiny"), 0.2, "tiny_served")
    model.save(path)
    return model


def onnx_model(path: Path) -> np.ndarray:
    """Write one that onnxruntime loads at once, where Keras takes seconds; return its weights, float32 (3, 10).

    Its probabilities are the softmax of the mean colour times the weights.
    """
    from onnx import TensorProto, checker, helper, numpy_helper, save

    weights = np.random.default_rng(0).normal(0, 0.05, (3, 10)).astype("float32")
    nodes = [
        helper.make_node("Cast", ["images"], ["numbers"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["numbers", "axes"], ["mean"], keepdims=0),
        helper.make_node("MatMul", ["mean", "weights"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1),
    ]
    constants = [
        numpy_helper.from_array(weights, "weights"),
        numpy_helper.from_array(np.array([1, 2], "int64"), "axes"),
    ]
    images = helper.make_tensor_value_info("images", TensorProto.UINT8, ["N", 32, 32, 3])
    probabilities = helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["N", 10])
    graph = helper.make_graph(nodes, "tiny", [images], [probabilities], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    checker.check_model(model)
    save(model, path)
    return weights


def with_photos(folder: Path, images: np.ndarray) -> Path:
    """Write `tiny.onnx` and `photos/00.png` and so on into the folder, and return it. `images`: as of the data set."""
    onnx_model(folder / "tiny.onnx")
    (folder / "photos").mkdir()
    for number, image in enumerate(images):
        Image.fromarray(image).save(folder / "photos" / f"{number:02}.png")
    return folder
