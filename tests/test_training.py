"""The training loop: schedule, optimizer, best weights, early stopping, divergence, repeatability."""

import keras
import numpy as np
import pytest

from pipeline import training
from pipeline.architectures import custom_cnn
from pipeline.batches import AugmentedImages, one_hot
from pipeline.errors import UserError
from pipeline.training import OneCycle, Task


@pytest.fixture
def settings(checked):
    small = {"epochs": 3, "batch_size": 50, "small_share": 0.5, "learning_rate": 0.05}
    return checked.models["custom_cnn"].training.model_copy(update=small)


@pytest.fixture
def task(images, settings):
    pictures, labels = images[0][:200], images[1][:200]

    def make() -> Task:
        keras.utils.set_random_seed(3)
        network = custom_cnn.build(pictures, [8, 8, 8])

        def batches(epoch):
            return AugmentedImages(pictures, labels, settings, 0, epoch)

        return Task(network, batches, (pictures[:50], one_hot(labels[:50])), lambda: network)

    return make


def test_the_learning_rate_rises_to_its_peak_and_falls():
    schedule = OneCycle(peak=2.0, steps=100, start=0.2, peak_at=0.25, end=0.1)
    rates = [float(schedule(step)) for step in (0, 25, 100)]
    assert rates == pytest.approx([0.4, 2.0, 0.2])


def test_the_history_has_a_row_an_epoch_and_is_told_as_it_comes(task, settings):
    told = []
    history = training.fit(task(), settings, False, told.append)
    assert list(history.columns) == training.HISTORY
    assert history["epoch"].tolist() == [1, 2, 3]
    assert history.to_dict("records") == told


def test_an_epochs_figures_are_means_over_its_images(images, settings):
    pictures, labels = images[0][:200], one_hot(images[1][:200])
    network = keras.Sequential([keras.Input((32, 32, 3)), keras.layers.Flatten(), keras.layers.Dense(10)])
    network.layers[-1].kernel.assign(network.layers[-1].kernel / 255)
    still = settings.model_copy(update={"epochs": 1, "learning_rate": 1e-20, "weight_decay": 0.0})
    made = Task(
        network, lambda epoch: AugmentedImages(pictures, images[1][:200], still, 0, epoch), (pictures, labels), None
    )
    row = training.fit(made, still, False, lambda row: None).iloc[0]
    seen, targets = zip(*(made.batches(0)[step] for step in range(len(made.batches(0)))), strict=True)
    loss, accuracy = network.evaluate(np.concatenate(seen), np.concatenate(targets), verbose=0)
    assert (row["loss"], row["accuracy"]) == (pytest.approx(loss, rel=1e-5), pytest.approx(accuracy))


def test_the_same_seed_gives_the_same_weights(task, settings):
    first, second = task(), task()
    for made in (first, second):
        training.fit(made, settings, False, lambda row: None)
    for one, other in zip(first.network.get_weights(), second.network.get_weights(), strict=True):
        assert np.array_equal(one, other)


def test_the_best_epoch_is_kept_and_training_stops_early(task, settings):
    """A learning rate that ruins the network after its first epochs: the weights are those of the best one."""
    made = task()
    ruinous = settings.model_copy(update={"epochs": 12, "patience": 2, "learning_rate": 30.0, "peak_at": 0.99})
    history = training.fit(made, ruinous, False, lambda row: None)
    inputs, targets = made.validation
    accuracy = (made.network.predict(inputs, verbose=0).argmax(1) == targets.argmax(1)).mean()
    assert accuracy == pytest.approx(history["val_accuracy"].max())
    assert len(history) < 12


def test_a_loss_that_is_not_a_number_is_a_users_error(task, settings):
    wild = settings.model_copy(update={"learning_rate": 1e30})
    with pytest.raises(UserError, match=r"diverged: .* lower training.learning_rate"):
        training.fit(task(), wild, False, lambda row: None)


def test_biases_learn_faster_and_do_not_decay(settings):
    def step(name: str) -> float:
        variable = keras.Variable([1.0], name=name)
        optimizer = training.make_optimizer(settings.model_copy(update={"momentum": 0.0, "weight_decay": 0.1}), 10)
        optimizer.build([variable])
        optimizer.apply([keras.ops.convert_to_tensor([1.0])])
        return 1 - float(variable[0])

    rate = settings.learning_rate * settings.start
    assert step("beta") == pytest.approx(rate * settings.bias_factor, rel=1e-4)
    assert step("kernel") == pytest.approx(rate * (1 + 0.1), rel=1e-2)
