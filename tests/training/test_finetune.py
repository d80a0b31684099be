"""Fine-tuning of all layers: the classifier it starts with, the statistics it ends with, the network that is served."""

import keras
import numpy as np
import pytest

from pipeline.core import params, paths, schema
from pipeline.data import splits
from pipeline.training import finetune, fit
from pipeline.training.device import Device
from pipeline.training.transfer import head
from pipeline.training.trunk import enlarged

NAME = "efficientnet_lite0"
CPU = Device("CPU", 0, "float32", xla=keras.backend.backend() == "jax")


def backbone(name: str, resolution: int | None) -> keras.Model:
    """In place of a pretrained network, one that is compiled in a second."""
    inputs = keras.Input((resolution, resolution, 3), name="pixels")
    x = keras.layers.Rescaling(1 / 127.5, offset=-1, name="scale")(inputs)
    for number in range(2):
        x = keras.layers.Conv2D(8, 3, 2, use_bias=False, name=f"conv{number}")(x)
        x = keras.layers.BatchNormalization(name=f"bn{number}")(x)
        x = keras.layers.ReLU(name=f"relu{number}")(x)
    return keras.Model(inputs, x, name=name)


@pytest.fixture
def prepared(tmp_path, monkeypatch, images, checked) -> params.Params:
    """A folder with 128 train and 32 validation images; params that train on 32 and then on 48 pixels."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(finetune, "load_backbone", backbone)
    splits.save(paths.TRAIN, images[0][:128], images[1][:128])
    splits.save(paths.VALIDATION, images[0][128:160], images[1][128:160])
    model = checked.models[NAME].model_dump(exclude={"method", "network"})
    few = {"epochs": 2, "batch_size": 32, "small": 32, "small_share": 0.5, "cutmix": 0.5, "shift": 2, "ema": 0.5}
    model["training"] |= few | {"first_layer": 0.1}
    network = schema.FinetuneNetwork.model_construct(resolution=48)  # no multiple of 32
    changed = schema.Finetune.model_construct(
        method="finetune",
        weights=[],
        network=network,
        training=schema.FinetuneTraining(**model["training"]),
    )
    return checked.model_copy(update={"models": {NAME: changed}})


def test_a_few_steps_train_all_layers_and_the_finished_network_is_the_trained_one(prepared):
    task = finetune.task(NAME, prepared.models[NAME], prepared)
    before = task.network.get_weights()
    history = fit.fit(task, prepared.models[NAME].training, CPU, lambda row: None)
    assert len(history) == 2
    names = [weight.path for weight in task.network.weights]
    same = [n for n, one, other in zip(names, before, task.network.get_weights(), strict=True) if np.all(one == other)]
    assert same == []
    finished = task.finish()
    pictures, _ = task.validation
    logits, expected = (model.predict(pictures, verbose=0) for model in (finished, task.network))
    assert finished.input_shape == (None, 32, 32, 3)
    assert expected.std() > 0.1
    assert np.abs(logits - expected).max() < 1e-3 * np.abs(expected).max()


def test_the_classifier_starts_with_what_the_features_say(images):
    """Features that are the pixels' means, and labels that depend on them alone: no step is needed."""
    keras.utils.set_random_seed(0)
    pictures = np.random.default_rng(0).integers(0, 256, (500, 1, 1, 3), "uint8") * np.ones((1, 32, 32, 1), "uint8")
    labels = pictures[:, 0, 0].argmax(axis=1).astype("uint8")
    whole = head(keras.Sequential([keras.Input((None, None, 3)), keras.layers.Rescaling(1 / 255)]), 0.0)
    finetune.start_classifier(whole, 40, pictures, labels)
    logits = enlarged(whole, 40).predict(pictures, verbose=0)
    assert (logits.argmax(axis=1) == labels).mean() > 0.9


def test_reestimated_statistics_are_those_of_the_images():
    images = np.random.default_rng(0).integers(0, 256, (500, 32, 32, 3), "uint8")
    normalisation = keras.layers.BatchNormalization(momentum=0.9)
    network = keras.Sequential([keras.Input((32, 32, 3)), normalisation])
    finetune.reestimate(network, images, seed=0)
    values = images.reshape(-1, 3).astype("float32")
    mean, variance = (keras.ops.convert_to_numpy(value) for value in normalisation.non_trainable_variables[:2])
    assert mean == pytest.approx(values.mean(axis=0), rel=1e-4)
    assert variance == pytest.approx(values.var(axis=0), rel=2e-3)  # the mean of the batches' variances
    assert normalisation.momentum == 0.9
