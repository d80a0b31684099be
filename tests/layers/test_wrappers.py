"""The saved model: what it computes, and that stock Keras loads it without this package."""

import os
import subprocess
import sys

import keras
import mlflow
import numpy as np
import pytest
from scipy.special import softmax

from pipeline.evaluation import ensemble
from pipeline.layers import wrappers
from pipeline.models import custom_cnn
from pipeline.tracking import logged_models


@pytest.fixture(scope="module")
def batch(images) -> np.ndarray:
    return images[0][:16]


@pytest.fixture(scope="module")
def network(images) -> keras.Model:
    keras.utils.set_random_seed(1)
    return custom_cnn.build(images[0], [8, 8, 8], 2, "relu")


def mirrored(network, images):
    return (network.predict(images, verbose=0) + network.predict(images[:, :, ::-1], verbose=0)) / 2


@pytest.mark.parametrize("views", [1, 2, 6])
def test_views_are_averaged_as_described(network, batch, views):
    padded = np.pad(batch, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="reflect")
    moved = (mirrored(network, padded[:, :32, :32]) + mirrored(network, padded[:, 2:, 2:])) / 2
    expected = {1: network.predict(batch, verbose=0), 2: mirrored(network, batch)}
    expected[6] = (mirrored(network, batch) + moved) / 2
    found = wrappers.averaged(network, views).predict(batch, verbose=0)
    assert found == pytest.approx(expected[views], abs=1e-5)


def test_the_ensemble_averages_probabilities_as_the_vote_does(network, images, batch):
    other = custom_cnn.build(images[0][:100], [8, 8, 16], 2, "relu")
    members = {
        "one": wrappers.calibrated(network, 0.7, "one"),
        "two": wrappers.calibrated(wrappers.averaged(other, 2), 1.4, "two"),
    }
    vote = ensemble.Vote({"one": 0.25, "two": 0.75}, temperature=0.8)
    model = wrappers.ensemble(list(members.values()), [0.25, 0.75], 0.8)
    expected = vote.average({name: member.predict(batch, verbose=0) for name, member in members.items()})
    assert model.predict(batch, verbose=0) == pytest.approx(expected, abs=1e-6)


def test_a_saved_model_loads_in_safe_mode_where_this_package_is_not(network, batch, tmp_path):
    model = wrappers.calibrated(wrappers.averaged(network, 6), 2.0, "saved")
    model.save(tmp_path / "model.keras")
    np.save(tmp_path / "images.npy", batch)
    code = (
        "import sys, keras, numpy as np\n"
        "sys.modules['pipeline'] = None  # whoever imports it fails\n"
        "model = keras.saving.load_model('model.keras', safe_mode=True)\n"
        "assert model.input_shape == (None, 32, 32, 3) and model.inputs[0].dtype == 'uint8'\n"
        "np.save('found.npy', model.predict(np.load('images.npy'), verbose=0))\n"
    )
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    subprocess.run([sys.executable, "-I", "-c", code], cwd=tmp_path, env=environment, check=True)
    found = np.load(tmp_path / "found.npy")
    expected = softmax(wrappers.averaged(network, 6).predict(batch, verbose=0) / 2, axis=1)
    assert found == pytest.approx(expected, abs=1e-5)


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """A model as MLflow serves it."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((32, 32, 3), dtype="uint8", name="images")
    pooled = keras.layers.GlobalAveragePooling2D()(keras.layers.Rescaling(1 / 255)(inputs))
    model = wrappers.calibrated(keras.Model(inputs, keras.layers.Dense(10)(pooled), name="tiny"), 1.0, "tiny_served")
    folder = tmp_path_factory.mktemp("served")
    mlflow.tensorflow.save_model(model, folder / "model", signature=logged_models.SIGNATURE, pip_requirements=["keras"])
    return mlflow.pyfunc.load_model(str(folder / "model"))


RIGHT = np.zeros((2, 32, 32, 3), "uint8")
WRONG = {
    "64 pixels": np.zeros((2, 64, 64, 3), "uint8"),
    "one without a batch": RIGHT[0],
    "grey": RIGHT[..., :1],
    "with transparency": np.zeros((2, 32, 32, 4), "uint8"),
    "channels first": RIGHT.transpose(0, 3, 1, 2),
    "another dimension": RIGHT[None],
    "fractions": RIGHT.astype("float32"),
    "NaN": np.full(RIGHT.shape, np.nan, "float32"),
    "infinite": np.full(RIGHT.shape, np.inf, "float32"),
    "whole numbers of 64 bits": RIGHT.astype("int64"),
    "negative": np.full(RIGHT.shape, -1, "int16"),
    "text": np.array(["an image"]),
    "ragged lists": [[1, 2], [3]],
    "nothing": None,
}


@pytest.mark.fault("asked of the served model, images:")
@pytest.mark.parametrize("kind", WRONG)
def test_images_that_are_not_the_signatures_are_refused(kind, served, record_property):
    with pytest.raises(mlflow.exceptions.MlflowException, match="Failed to enforce schema") as caught:
        served.predict(WRONG[kind])
    record_property("seen", str(caught.value).partition("Error: ")[2])


def test_a_large_batch_is_predicted_in_parts(served):
    assert served.predict(np.zeros((3000, 32, 32, 3), "uint8")).shape == (3000, 10)
