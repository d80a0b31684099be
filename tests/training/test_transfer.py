"""What is trained on the cached trunk is what the finished network does."""

import shutil

import numpy as np
import pytest

from pipeline.core import params, paths
from pipeline.core.errors import UserError
from pipeline.data import splits
from pipeline.stages import trunk
from pipeline.training import transfer

NAME = "efficientnet_lite0"


@pytest.fixture
def prepared(tmp_path, monkeypatch, images, lite0_weights, checked) -> params.Params:
    """A folder with 64 train images, 32 validation images, the weights and the cached trunk, at 64 pixels."""
    monkeypatch.chdir(tmp_path)
    splits.save(paths.TRAIN, images[0][:64], images[1][:64])
    splits.save(paths.VALIDATION, images[0][64:96], images[1][64:96])
    shutil.copytree(lite0_weights.parent, paths.WEIGHTS / NAME)
    model = checked.models[NAME]
    small = model.model_copy(update={"network": model.network.model_copy(update={"resolution": 64})})
    compute = checked.compute.model_copy(update={"precision": "float32"})
    changed = checked.model_copy(update={"models": {NAME: small}, "compute": compute})
    (paths.TRUNKS / NAME).mkdir(parents=True)
    trunk.compute(NAME, small.network, changed)
    return changed


def test_the_finished_network_has_the_trained_weights(prepared):
    task = transfer.task(NAME, prepared.models[NAME], prepared)
    cached, _ = task.validation
    before = task.network.predict_on_batch(cached)
    task.trained.compile("sgd", "mse")
    batches = task.batches(0)
    for _ in range(3):
        task.trained.train_on_batch(*batches[0])
    trained = task.network.predict_on_batch(cached)
    finished = task.finish()
    logits = finished.predict_on_batch(splits.load(paths.VALIDATION)[0])
    assert np.abs(logits - trained).max() < 0.05 * np.abs(trained).max()  # the cache is float16
    assert np.abs(logits - trained).max() < 0.1 * np.abs(trained - before).max()
    assert not any("matrix" in type(layer).__name__.lower() for layer in finished._flatten_layers())


@pytest.mark.parametrize("name", ["train.npy", "validation.npy"])
@pytest.mark.parametrize("damage", ["missing", "partial", "one bit"])
def test_a_cached_trunk_that_is_not_whole_is_refused(name, damage, prepared):
    path = paths.TRUNKS / NAME / name
    content = bytearray(path.read_bytes())
    path.unlink()
    if damage == "partial":
        path.write_bytes(content[:-100])
    elif damage == "one bit":
        content[-100] ^= 1
        path.write_bytes(content)
    with pytest.raises(UserError, match=rf"{name} is missing or damaged; run `dvc repro --force trunk@{NAME}`"):
        transfer.task(NAME, prepared.models[NAME], prepared)


def test_views_are_mirrored_in_turn_and_moved_by_no_more_than_the_shift():
    images = np.random.default_rng(0).integers(0, 256, (20, 32, 32, 3), "uint8")
    plain = list(trunk.views_of(images, views=2, shift=0, seed=0))
    for image, one, other in zip(images, *plain, strict=True):
        assert {one.tobytes(), other.tobytes()} == {image.tobytes(), image[:, ::-1].tobytes()}
    (moved,) = trunk.views_of(images, views=1, shift=3, seed=0)
    padded = np.pad(images, ((0, 0), (3, 3), (3, 3), (0, 0)), mode="reflect")
    for picture, both in zip(moved, padded, strict=True):
        windows = [both[r : r + 32, c : c + 32] for r in range(7) for c in range(7)]
        assert any(np.array_equal(picture, w) or np.array_equal(picture, w[:, ::-1]) for w in windows)
