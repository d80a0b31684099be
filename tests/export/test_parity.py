"""The parity gate: what is shipped, and that a broken export never is."""

import json

import keras
import numpy as np
import pytest

from pipeline.export import convert, parity

CALIBRATION, SEEN = slice(6000, 6100), slice(6100, 6600)  # of the images
FLOAT, ONNX = convert.VARIANTS[0], convert.VARIANTS[-1]


@pytest.fixture(scope="module")
def judge(tiny, images):
    """Judge a file on some of the images."""
    expected = tiny.predict(images[0][SEEN], verbose=0)

    def judged(path, export) -> dict:
        return parity.judge(path, images[0][SEEN], expected, images[1][SEEN], export)

    return judged


@pytest.fixture
def export(checked):
    return checked.export.model_copy(update={"latency_images": 10})


@pytest.mark.parametrize("variant", [FLOAT, ONNX], ids=["litert", "onnx"])
def test_a_good_export_is_shipped_with_all_its_figures(variant, tiny, images, tmp_path, judge, export):
    path = tmp_path / variant.file
    convert.convert(tiny, variant, path, images[0][CALIBRATION])
    found = judge(path, export)
    assert (found["shipped"], found["reasons"]) == (True, [])
    assert found["size_mb"] == path.stat().st_size / 1e6
    assert found["agreement"] == 1
    assert found["accuracy"] == found["keras_accuracy"] > 0.3
    assert found["accuracy_drop"] == found["drop_low"] == found["drop_high"] == 0
    assert found["latency_ms_1_thread"] > 0
    assert found["latency_ms_2_threads"] > 0
    assert found["images"] == 500
    assert set(found) == {*parity.FIGURES, "shipped", "reasons"}
    json.dumps(found)


def weighted(model: keras.Model, change) -> keras.Model:
    """A copy whose weights are changed."""
    copy = keras.models.clone_model(model)
    copy.set_weights([change(array) for array in model.get_weights()])
    return copy


def after(model: keras.Model, matrix: np.ndarray) -> keras.Model:
    """The model's outputs times a matrix."""
    last = keras.layers.Dense(matrix.shape[1], use_bias=False)
    outputs = last(model.output)
    last.set_weights([matrix.astype("float32")])
    return keras.Model(model.input, outputs)


def before(model: keras.Model, scale: float) -> keras.Model:
    """The model given images that are scaled."""
    images = keras.Input((32, 32, 3), dtype="uint8", name="images")
    return keras.Model(images, model(keras.ops.cast(keras.ops.cast(images, "float32") * scale, "uint8")))


BROKEN = {
    "classes in another order": (lambda model: after(model, np.eye(10)[np.roll(range(10), 1)]), "agreement is 0"),
    "weights of zero": (lambda model: weighted(model, np.zeros_like), "accuracy_drop is 0."),
    "weights that are rounded to next to nothing": (
        lambda model: weighted(model, lambda array: np.round(array * 2) / 2),
        "agreement is 0.",
    ),
    "a weight that is NaN": (lambda model: weighted(model, lambda array: array * np.nan), "NaN or infinity for 500 of"),
    "pixels scaled twice": (lambda model: before(model, 1 / 255), "agreement is 0."),
    "a class too few": (lambda model: after(model, np.eye(10)[:, :9]), "gives float32 (1, 9) for an image"),
    "outputs that are no probabilities": (lambda model: after(model, 5 * np.eye(10)), "are no probabilities"),
}


@pytest.mark.fault("an export that is broken")
@pytest.mark.parametrize("variant", [FLOAT, ONNX], ids=["litert", "onnx"])
@pytest.mark.parametrize("what", BROKEN)
def test_a_broken_export_is_not_shipped(what, variant, tiny, images, tmp_path, judge, export, record_property):
    make, told = BROKEN[what]
    path = tmp_path / variant.file
    convert.convert(make(tiny), variant, path, images[0][CALIBRATION])
    found = judge(path, export)
    assert not found["shipped"]
    assert told in "; ".join(found["reasons"])
    record_property("seen", f"not shipped: {'; '.join(found['reasons'])}")


DAMAGED = {
    "cut in half": lambda content: content[: len(content) // 2],
    "empty": lambda content: b"",
    "all zeros": lambda content: bytes(len(content)),
    "another file": lambda content: b"an exported file" * 1000,
}


@pytest.mark.fault("an exported file that is damaged")
@pytest.mark.parametrize("variant", [FLOAT, ONNX], ids=["litert", "onnx"])
@pytest.mark.parametrize("what", DAMAGED)
def test_a_damaged_file_is_not_shipped(what, variant, tiny, images, tmp_path, judge, export, record_property):
    path = tmp_path / variant.file
    convert.convert(tiny, variant, path, images[0][CALIBRATION])
    path.write_bytes(DAMAGED[what](path.read_bytes()))
    found = judge(path, export)
    (reason,) = found["reasons"]
    assert not found["shipped"]
    assert reason.startswith("the runtime refuses it: ")
    assert found["agreement"] is None
    record_property("seen", f"not shipped: {reason}")


FIGURES = {"agreement": 0.98, "accuracy_drop": 0.004, "size_mb": 3.0, "latency_ms_1_thread": 2.0}


@pytest.mark.parametrize(
    ("figure", "value", "limits"),
    [
        ("agreement", 0.9699, {}),
        ("agreement", float("nan"), {}),
        ("accuracy_drop", 0.0051, {}),
        ("accuracy_drop", float("nan"), {}),
        ("size_mb", 2.81, {"size_mb": 2.8}),
        ("latency_ms_1_thread", 3.1, {"latency_ms": 3.0}),
    ],
)
def test_each_limit_counts(figure, value, limits, checked):
    limits = checked.export.limits.model_copy(update=limits)
    within = FIGURES | ({"size_mb": 2.8} if limits.size_mb else {})
    assert parity.outside(within, limits) == []
    (reason,) = parity.outside(within | {figure: value}, limits)
    assert reason.startswith(f"{figure} is {value:.4g}, limit ")


def test_the_limits_themselves_are_within(checked):
    assert parity.outside(FIGURES | {"agreement": 0.97, "accuracy_drop": 0.005}, checked.export.limits) == []


def test_the_drop_is_paired_and_so_is_its_interval(tiny, images, tmp_path, judge, export):
    """It says how many points are lost on these images, and is narrower than that of two accuracies."""
    path = tmp_path / FLOAT.file
    coarse = weighted(tiny, lambda array: np.round(array * 8) / 8)
    convert.convert(coarse, FLOAT, path, images[0][CALIBRATION])
    found = judge(path, export)
    assert found["accuracy_drop"] == pytest.approx(found["keras_accuracy"] - found["accuracy"])
    assert found["drop_low"] < found["accuracy_drop"] < found["drop_high"]
    disagreeing = 1 - found["agreement"]
    assert found["drop_high"] - found["drop_low"] < 4 * np.sqrt(disagreeing / found["images"])
