"""Keras models are written canonically: the same weights are the same bytes, whoever writes them."""

import subprocess
import sys

import keras
import numpy as np

from pipeline.formats import keras_archive, keras_model
from tests.conftest import ROOT

SAVE = """
import sys
from pathlib import Path
import keras
from pipeline.formats import keras_model
keras.utils.set_random_seed(0)
garbage = [object() for _ in range(int(sys.argv[2]))]  # so that addresses are others
inputs = keras.Input((4,))
shared = keras.layers.Dense(4, name="shared")
keras_model.save(keras.Model(inputs, shared(shared(inputs)), name="m"), Path(sys.argv[1]))
"""


def test_two_processes_write_the_same_bytes_and_what_is_shared_stays_shared(tmp_path):
    files = [tmp_path / f"{number}.keras" for number in (1, 2)]
    for number, file in enumerate(files):
        command = [sys.executable, "-c", SAVE, str(file), str(number * 10_000)]
        subprocess.run(command, check=True, cwd=ROOT, capture_output=True)
    assert files[0].read_bytes() == files[1].read_bytes()
    model = keras_model.load(files[0])
    assert [layer.name for layer in model.layers].count("shared") == 1
    assert len(model.weights) == 2


def test_a_model_loads_as_it_was_and_is_written_again_as_it_was(tmp_path):
    keras.utils.set_random_seed(0)
    inputs = keras.Input((4,))
    model = keras.Model(inputs, keras.layers.Dense(3)(inputs))
    first, second = tmp_path / "first.keras", tmp_path / "second.keras"
    keras_model.save(model, first)
    loaded = keras_model.load(first)
    given = np.ones((2, 4), "float32")
    assert np.array_equal(loaded.predict(given, verbose=0), model.predict(given, verbose=0))
    keras_model.save(loaded, second)
    assert first.read_bytes() == second.read_bytes()
    model.save(tmp_path / "plain.keras")
    assert keras_archive.fingerprint(tmp_path / "plain.keras") == keras_archive.fingerprint(first)
