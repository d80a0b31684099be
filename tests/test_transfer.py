"""What is trained on the cached trunk is what the finished network does."""

import shutil

import numpy as np
import pytest

from pipeline import cifar10, params, paths, transfer
from pipeline.stages import trunk

NAME = "efficientnet_lite0"


@pytest.fixture
def prepared(tmp_path, monkeypatch, images, lite0_weights, checked) -> params.Params:
    """A folder with 64 train images, 32 validation images, the weights and the cached trunk, at 64 pixels."""
    monkeypatch.chdir(tmp_path)
    cifar10.save(paths.TRAIN, images[0][:64], images[1][:64])
    cifar10.save(paths.VALIDATION, images[0][64:96], images[1][64:96])
    shutil.copytree(lite0_weights.parent, paths.WEIGHTS / NAME)
    model = checked.models[NAME]
    small = model.model_copy(update={"trunk": model.trunk.model_copy(update={"resolution": 64})})
    changed = checked.model_copy(update={"models": {NAME: small}})
    (paths.TRUNKS / NAME).mkdir(parents=True)
    trunk.compute(NAME, changed)
    return changed


def test_the_finished_network_has_the_trained_weights(prepared):
    task = transfer.task(NAME, prepared)
    cached, _ = task.validation
    before = task.network.predict_on_batch(cached)
    task.network.compile("sgd", "mse")
    batches = task.batches(0)
    for _ in range(3):
        task.network.train_on_batch(*batches[0])
    trained = task.network.predict_on_batch(cached)
    finished = task.finish()
    logits = finished.predict_on_batch(cifar10.load(paths.VALIDATION)[0])
    assert np.abs(logits - trained).max() < 0.05 * np.abs(trained).max()  # the cache is float16
    assert np.abs(logits - trained).max() < 0.1 * np.abs(trained - before).max()
    assert not any("matrix" in type(layer).__name__.lower() for layer in finished._flatten_layers())
