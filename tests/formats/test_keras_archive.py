"""Saved models: what is no plain Keras model is refused in one line, and nothing of it runs."""

import io
import json
import zipfile
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest

from drills import files
from pipeline.core.errors import UserError
from pipeline.formats import keras_archive, keras_model


@pytest.fixture
def canary(tmp_path):
    """A file that must not appear."""
    path = tmp_path / "canary"
    yield path
    assert not path.exists()


@pytest.mark.fault("in place of a model")
@pytest.mark.parametrize("kind", files.MODELS)
def test_a_malicious_or_damaged_model_is_refused(kind, tmp_path, canary, record_property):
    path = tmp_path / "model.keras"
    files.MODELS[kind](path, canary)
    canary.unlink(missing_ok=True)  # making it may have made it
    with pytest.raises(UserError, match="is no model to be loaded") as caught:
        keras_model.load(path)
    assert str(caught.value).isprintable()
    record_property("seen", str(caught.value).removeprefix(f"{tmp_path}/"))


def test_the_fingerprint_is_the_same_however_often_a_model_was_saved(tmp_path):
    files.small_model(tmp_path / "first.keras")
    keras_model.load(tmp_path / "first.keras").save(tmp_path / "second.keras")
    first, second = (keras_archive.fingerprint(tmp_path / f"{name}.keras") for name in ("first", "second"))
    assert first == second
    assert (tmp_path / "first.keras").read_bytes() != (tmp_path / "second.keras").read_bytes()


@pytest.mark.parametrize("change", ["weight", "layer"])
def test_another_weight_or_layer_is_another_fingerprint(change, tmp_path):
    files.small_model(tmp_path / "first.keras")
    model = keras_model.load(tmp_path / "first.keras")
    if change == "weight":
        kernel = model.layers[-1].kernel
        kernel.assign(np.nextafter(keras.ops.convert_to_numpy(kernel), np.float32(9)))
    else:
        model = keras.Model(model.input, keras.layers.Activation("softmax")(model.output))
    model.save(tmp_path / "second.keras")
    first, second = (keras_archive.fingerprint(tmp_path / f"{name}.keras") for name in ("first", "second"))
    assert first != second


def stack(path: Path, *layers: dict) -> Path:
    """A model of these layers, without weights."""
    weights = io.BytesIO()
    h5py.File(weights, "w").close()
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(files.CONFIG, json.dumps({"class_name": "Stack", "config": {"layers": layers}}))
        archive.writestr(files.METADATA, "{}")
        archive.writestr(files.WEIGHTS, weights.getvalue())
    return path


DENSE = {"class_name": "Dense", "config": {"units": 3}}
POLICY = {"class_name": "DTypePolicy", "config": {"name": "float32"}}


@pytest.mark.parametrize("kind", [DENSE, POLICY], ids=lambda kind: kind["class_name"])
def test_where_an_object_lay_in_memory_says_nothing_and_that_layers_are_one_does(kind, tmp_path):
    shared = [kind | {"shared_object_id": address} for address in (140_001, 140_002)]
    first, second, alone = (
        keras_archive.fingerprint(stack(tmp_path / f"{number}.keras", item, item))
        for number, item in enumerate([*shared, kind])
    )
    assert first == second
    assert (first == alone) == (kind is POLICY)  # a policy of dtypes has no state


def test_objects_that_are_the_same_and_differ_are_refused(tmp_path):
    layers = (DENSE | {"config": {"units": units}, "shared_object_id": 140_001} for units in (3, 4))
    with pytest.raises(UserError, match="of objects that differ that they are the same"):
        keras_archive.fingerprint(stack(tmp_path / "two.keras", *layers))


def test_a_file_that_is_not_there_is_not_called_damaged(tmp_path):
    with pytest.raises(FileNotFoundError):
        keras_model.load(tmp_path / "model.keras")
