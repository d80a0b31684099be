"""The training loop: schedule, optimizer, best weights, early stopping, divergence, repeatability."""

import keras
import numpy as np
import pytest

from pipeline.core.errors import UserError
from pipeline.models import custom_cnn
from pipeline.training import fit
from pipeline.training.augmentation import augmented
from pipeline.training.batches import AugmentedImages, one_hot
from pipeline.training.device import Device
from pipeline.training.fit import Task
from pipeline.training.optimizer import OneCycle, learning_rate_factors, make_optimizer

CPU = Device("CPU", 0, "float32", xla=keras.backend.backend() == "jax")


@pytest.fixture
def settings(checked):
    small = {"epochs": 3, "batch_size": 50, "small_share": 0.5, "learning_rate": 0.05}
    return checked.models["custom_cnn"].training.model_copy(update=small)


@pytest.fixture
def task(images, settings):
    pictures, labels = images[0][:200], images[1][:200]

    def make(ema: float = 0.0) -> Task:
        keras.utils.set_random_seed(3)
        network = custom_cnn.build(pictures, [8, 8, 8], 2, "relu")

        def batches(epoch):
            return AugmentedImages(labels, settings, 32, 0, epoch)

        trained = augmented(network, pictures, settings.cutmix > 0)
        factors = learning_rate_factors(network, bias_factor=settings.bias_factor)
        validation = (pictures[:50], one_hot(labels[:50]))
        return Task(trained, network, batches, validation, factors, ema, lambda: network)

    return make


def test_the_learning_rate_rises_to_its_peak_and_falls():
    schedule = OneCycle(peak=2.0, steps=100, start=0.2, peak_at=0.25, end=0.1)
    rates = [float(schedule(step)) for step in (0, 25, 100)]
    assert rates == pytest.approx([0.4, 2.0, 0.2])


def test_the_history_has_a_row_an_epoch_and_is_told_as_it_comes(task, settings):
    told = []
    history = fit.fit(task(), settings, CPU, told.append)
    assert list(history.columns) == fit.HISTORY
    assert history["epoch"].tolist() == [1, 2, 3]
    assert history.to_dict("records") == told


def test_an_epochs_figures_are_means_over_its_images(images, settings):
    pictures, labels = images[0][:200], one_hot(images[1][:200])
    network = keras.Sequential([keras.Input((32, 32, 3)), keras.layers.Flatten(), keras.layers.Dense(10)])
    network.layers[-1].kernel.assign(network.layers[-1].kernel / 255)
    still = settings.model_copy(update={"epochs": 1, "learning_rate": 1e-20, "weight_decay": 0.0})
    batches = [(pictures[start : start + 50], labels[start : start + 50]) for start in range(0, 200, 50)]
    made = Task(network, network, lambda epoch: batches, (pictures, labels), {}, 0.0, lambda: network)
    row = fit.fit(made, still, CPU, lambda row: None).iloc[0]
    loss, accuracy = network.evaluate(pictures, labels, verbose=0)
    assert (row["loss"], row["accuracy"]) == (pytest.approx(loss, rel=1e-5), pytest.approx(accuracy))


def test_the_same_seed_gives_the_same_weights(task, settings):
    first, second = task(), task()
    for made in (first, second):
        fit.fit(made, settings, CPU, lambda row: None)
    for one, other in zip(first.network.get_weights(), second.network.get_weights(), strict=True):
        assert np.array_equal(one, other)


class Killed(Exception):
    pass


@pytest.mark.parametrize(
    ("epoch", "change"),
    [
        pytest.param(1, {}, marks=pytest.mark.slow),
        (2, {"ema": 0.9, "optimizer": "adamw"}),
        pytest.param(3, {}, marks=pytest.mark.slow),
    ],
)
def test_a_training_that_was_interrupted_ends_as_if_it_had_not_been(epoch, change, task, settings, tmp_path):
    settings, state = settings.model_copy(update=change), tmp_path / "epoch.npz"

    def killed(row):
        if row["epoch"] == epoch:
            raise Killed

    whole, first, second = task(), task(), task()
    expected = fit.fit(whole, settings, CPU, lambda row: None)
    with pytest.raises(Killed):
        fit.fit(first, settings, CPU, killed, state)
    told = []
    history = fit.fit(second, settings, CPU, told.append, state)
    assert [row["epoch"] for row in told] == [1, 2, 3]
    columns = [name for name in fit.HISTORY if name != "seconds"]
    assert history[columns].equals(expected[columns])
    for one, other in zip(whole.network.get_weights(), second.network.get_weights(), strict=True):
        assert np.array_equal(one, other)


def test_a_training_that_had_stopped_early_stays_stopped(task, settings, tmp_path):
    ruinous = settings.model_copy(update={"epochs": 12, "patience": 2, "learning_rate": 30.0, "peak_at": 0.99})
    histories = [fit.fit(task(), ruinous, CPU, lambda row: None, tmp_path / "epoch.npz") for _ in range(2)]
    assert len(histories[0]) < 12
    assert histories[0].equals(histories[1])


def test_the_best_epoch_is_kept_and_training_stops_early(task, settings):
    """A learning rate that ruins the network after its first epochs: the weights are those of the best one."""
    made = task()
    ruinous = settings.model_copy(update={"epochs": 12, "patience": 2, "learning_rate": 30.0, "peak_at": 0.99})
    history = fit.fit(made, ruinous, CPU, lambda row: None)
    inputs, targets = made.validation
    accuracy = (made.network.predict(inputs, verbose=0).argmax(1) == targets.argmax(1)).mean()
    assert accuracy == pytest.approx(history["val_accuracy"].max())
    assert len(history) < 12


def test_a_loss_that_is_not_a_number_is_a_users_error(task, settings):
    wild = settings.model_copy(update={"learning_rate": 1e30})
    with pytest.raises(UserError, match=r"diverged: .* lower training.learning_rate"):
        fit.fit(task(), wild, CPU, lambda row: None)


def test_biases_learn_faster_and_do_not_decay(settings):
    network = keras.Sequential([keras.Input((4, 4, 3)), keras.layers.Conv2D(1, 1), keras.layers.BatchNormalization()])
    convolution, normalisation = network.layers
    factors = learning_rate_factors(network, bias_factor=settings.bias_factor)

    def step(variable) -> float:
        variable.assign(np.ones(variable.shape))
        optimizer = make_optimizer(settings.model_copy(update={"momentum": 0.0, "weight_decay": 0.1}), 10, factors)
        optimizer.build([variable])
        optimizer.apply([keras.ops.ones(variable.shape)])
        return 1 - float(keras.ops.mean(variable))

    rate = settings.learning_rate * settings.start
    assert step(normalisation.beta) == pytest.approx(rate * settings.bias_factor, rel=1e-4)
    assert step(normalisation.gamma) == pytest.approx(rate, rel=1e-2)
    assert step(convolution.kernel) == pytest.approx(rate * (1 + 0.1), rel=1e-2)


def test_the_first_layers_learn_more_slowly():
    network = keras.Sequential([keras.Input((4,)), *(keras.layers.Dense(2) for _ in range(4))])
    factors = learning_rate_factors(network, first_layer=0.1)
    rates = [factors[layer.kernel.path] for layer in network.layers]
    assert rates == pytest.approx([0.1**0.75, 0.1**0.5, 0.1**0.25, 1.0])


def test_the_layers_of_networks_within_a_network_have_their_place_in_the_order():
    def dense(name: str, inside: list[keras.layers.Layer]) -> keras.Model:
        return keras.Sequential([keras.Input((2,)), *inside], name=name)

    backbone = dense("backbone", [keras.layers.Dense(2, name="stem"), keras.layers.Dense(2, name="top")])
    whole = dense("whole", [dense("upper", [backbone]), keras.layers.Dense(2, name="logits")])
    factors = learning_rate_factors(whole, first_layer=0.1)
    by_layer = {path.split("/")[-2]: factor for path, factor in factors.items() if path.endswith("kernel")}
    assert by_layer["stem"] < by_layer["top"] < by_layer["logits"] == 1


def test_the_moving_average_of_the_weights_is_what_is_kept(task, settings):
    """With an average that keeps nearly all of itself, the network stays close to where it started."""
    plain, averaged = task(), task(ema=0.999)
    start = plain.network.get_weights()
    fit.fit(plain, settings, CPU, lambda row: None)
    fit.fit(averaged, settings, CPU, lambda row: None)

    def moved(made) -> float:
        names = [weight.name for weight in made.network.weights]
        pairs = zip(names, start, made.network.get_weights(), strict=True)
        return max(np.abs(one - other).max() for name, one, other in pairs if name == "kernel")

    assert 0 < moved(averaged) < 0.1 * moved(plain)
