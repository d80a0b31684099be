"""Pictures in batches, through models from wherever they are kept."""

import itertools
import os
import shutil
import subprocess
import sys
import tracemalloc
from pathlib import Path

import mlflow
import numpy as np
import pytest
from mlflow import MlflowClient
from PIL import Image
from scipy.special import softmax

from pipeline.core.errors import UserError
from pipeline.data.cifar10 import CLASSES
from pipeline.registry import promotion, versions
from pipeline.serving import load, predict
from pipeline.tracking import logged_models
from tests import tiny
from tests.conftest import ROOT

WRONG = ["text.keras", "text.tflite", "text.onnx", "another.keras", "model.h5", "no.keras"]
# Layers, by what they take.
HUGE = {
    "much-memory.keras": lambda layers: [layers.ZeroPadding2D(30_000), layers.GlobalAveragePooling2D()],
    "much-time.keras": lambda layers: [
        layers.Flatten(),
        layers.Dense(1),
        layers.RepeatVector(30_000_000),
        layers.SimpleRNN(10),
    ],
}


@pytest.fixture(scope="module")
def files(images, tmp_path_factory) -> list[Path]:
    """The first 230 test images as PNG files: two whole batches, and one that is not."""
    folder = tmp_path_factory.mktemp("pictures")
    for number, image in enumerate(images[0][:230]):
        Image.fromarray(image).save(folder / f"{number:03}.png")
    return sorted(folder.iterdir())


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A Keras model, and the file that has it."""
    path = tmp_path_factory.mktemp("model") / "tiny.keras"
    return tiny.keras_model(path), path


def mean_colour(images: np.ndarray) -> np.ndarray:
    """A model that needs no library: probabilities float32 (N, 10)."""
    assert images.dtype == "uint8"
    return softmax(images.mean((1, 2)) @ np.eye(3, 10) / 20, axis=1).astype("float32")


def test_predictions_of_png_files_are_those_of_keras(saved, files, images):
    model, path = saved
    expected = model.predict(images[0][:230], verbose=0)
    found = list(predict.predict(files, load.load(str(path))[1]))
    assert [prediction.path for prediction in found] == files
    assert np.array([prediction.probabilities for prediction in found]) == pytest.approx(expected, abs=1e-5)
    for prediction, probabilities in zip(found, expected, strict=True):
        name, share = prediction.best(1)[0]
        assert (name, share) == (CLASSES[probabilities.argmax()], pytest.approx(probabilities.max(), abs=1e-5))
        ten = prediction.best(10)
        assert {name for name, _ in ten} == set(CLASSES)
        assert [share for _, share in ten] == sorted((share for _, share in ten), reverse=True)


@pytest.mark.parametrize("every", [2, 50, 1])
def test_files_that_cannot_be_read_keep_their_place_and_the_others_are_done(every, files, images, tmp_path):
    (tmp_path / "x.png").write_text("no picture")
    given = [tmp_path / "x.png" if number % every == 0 else path for number, path in enumerate(files)]
    found = list(predict.predict(given, mean_colour))
    assert [prediction.path for prediction in found] == given
    expected = mean_colour(images[0][:230])
    for number, prediction in enumerate(found):
        if number % every == 0:
            assert prediction.reason == "is no picture in a format that is read"
            assert prediction.probabilities is None
        else:
            assert prediction.reason is None
            assert np.array_equal(prediction.probabilities, expected[number])


@pytest.mark.fault("of a folder's pictures, one vanishes meanwhile")
def test_a_file_that_vanishes_is_reported(files, tmp_path, record_property):
    given = []
    for path in files[:150]:
        given.append(tmp_path / path.name)
        given[-1].hardlink_to(path)
    found = predict.predict(given, mean_colour)
    first = next(found)
    given[140].unlink()
    rest = list(found)
    assert [prediction.path for prediction in [first, *rest] if prediction.reason] == [given[140]]
    record_property("seen", f"{rest[139].reason}; the other {len(rest)} were done")


def test_no_more_than_a_batch_is_read_ahead(files):
    given = iter(files)
    next(predict.predict(given, mean_colour))
    assert len(list(given)) == len(files) - predict.BATCH


def test_memory_does_not_depend_on_how_many_there_are(files):
    peaks = []
    for count in (1_000, 10_000):
        given = itertools.islice(itertools.cycle(files), count)
        tracemalloc.start()
        assert sum(prediction.reason is None for prediction in predict.predict(given, mean_colour)) == count
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.1 * peaks[0] < 20e6


def test_nor_does_that_of_a_process_with_keras(saved, files):
    """Its peak of physical memory after 1,000 pictures, and after 9,000 more."""
    code = (
        "import itertools, resource\n"
        "from pathlib import Path\n"
        "from pipeline.serving import load, predict\n"
        f"_, model = load.load({str(saved[1])!r})\n"
        f"files = itertools.cycle(sorted(Path({str(files[0].parent)!r}).iterdir()))\n"
        "for count in (1000, 9000):\n"
        "    assert all(found.reason is None for found in predict.predict(itertools.islice(files, count), model))\n"
        "    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)\n"
    )
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", code]
    told = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True).stdout
    before, after = map(int, told.split())
    assert after - before < 20_000  # KiB; the 9,000 images alone are 27,000


def test_an_onnx_file_is_a_model(files, images, tmp_path):
    weights = tiny.onnx_model(tmp_path / "tiny.onnx")
    name, model = load.load(str(tmp_path / "tiny.onnx"))
    found = np.array([prediction.probabilities for prediction in predict.predict(files, model)])
    expected = softmax(images[0][:230].mean((1, 2)) @ weights, axis=1)
    assert name.endswith("tiny.onnx")
    assert found == pytest.approx(expected, abs=1e-5)


def test_a_litert_file_is_a_model(saved, files, images, tmp_path):
    import tensorflow as tf

    model, _ = saved
    one = tf.function(lambda images: model(images)).get_concrete_function(tf.TensorSpec((1, 32, 32, 3), "uint8"))
    (tmp_path / "tiny.tflite").write_bytes(tf.lite.TFLiteConverter.from_concrete_functions([one]).convert())
    _, converted = load.load(str(tmp_path / "tiny.tflite"))
    found = np.array([prediction.probabilities for prediction in predict.predict(files[:30], converted)])
    assert found == pytest.approx(model.predict(images[0][:30], verbose=0), abs=1e-5)


@pytest.mark.usefixtures("store")
def test_a_registered_model_is_had_by_version_alias_and_stage(saved, images, checked, tmp_path):
    model, registered = saved[0], checked.registry.model
    model.save(tmp_path / "model.keras")
    run = MlflowClient().create_run(mlflow.get_experiment_by_name("cifar10").experiment_id)
    address = logged_models.log(run, tmp_path / "model.keras", images[0][:2]).model_uri
    version = versions.register(registered, address, "a description", {})
    promotion.enter(registered, "promote", version, "a test", promotion.settle(registered))
    expected = model.predict(images[0][:5], verbose=0)
    for named in ("1", "@champion", "Production"):
        name, loaded = load.load(named)
        assert name == f"{registered} version 1"
        assert loaded(images[0][:5]) == pytest.approx(expected, abs=1e-5)
    with pytest.raises(UserError, match="has no version, alias or stage @challenger"):
        load.load("@challenger")
    shutil.rmtree("mlruns/artifacts")
    with pytest.raises(UserError, match="version 1 gives no Keras file: `pipeline lineage 1` says more"):
        load.load("@champion")


@pytest.mark.fault("in place of a model to predict with")
@pytest.mark.parametrize(
    "kind", ["text.keras", "text.tflite", "text.onnx", "another.keras", *HUGE, "model.h5", "no.keras"]
)
def test_what_is_no_model_of_this_kind_is_refused(kind, tmp_path, record_property):
    path = tmp_path / kind
    if kind.startswith("text") or kind == "model.h5":
        path.write_text("no model\n" * 100)
    if kind == "another.keras":
        import keras

        keras.Sequential([keras.Input((28, 28, 1)), keras.layers.Flatten(), keras.layers.Dense(10)]).save(path)
    if kind in HUGE:
        import keras

        inside = keras.Sequential([keras.Input((32, 32, 3)), *HUGE[kind](keras.layers), keras.layers.Dense(10)])
        keras.Sequential([keras.Input((32, 32, 3), dtype="uint8"), keras.layers.Rescaling(1 / 255), inside]).save(path)
    with pytest.raises(UserError) as caught:
        load.load(str(path))
    assert kind in str(caught.value)
    assert kind not in HUGE or "numbers of an image" in str(caught.value)
    record_property("seen", str(caught.value).replace(f"{tmp_path}/", ""))
