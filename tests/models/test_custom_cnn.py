"""The custom CNN: logits of several sizes, a frozen whitening, and how its convolutions start."""

import keras
import numpy as np
import pytest

from pipeline.models import custom_cnn


@pytest.fixture(scope="module", params=[2, 3])
def custom(images, request) -> keras.Model:
    return custom_cnn.build(images[0][:1000], [16, 32, 32], depth=request.param, activation="gelu")


@pytest.mark.parametrize("side", [16, 24, 32])
def test_custom_cnn_maps_pictures_of_several_sides_to_logits(side, custom):
    pictures = np.random.default_rng(0).integers(0, 256, (2, side, side, 3), "uint8")
    logits = np.asarray(custom(pictures))
    assert (logits.shape, logits.dtype) == ((2, 10), "float32")
    assert np.isfinite(logits).all()
    assert not np.allclose(logits[0], logits[1])


def test_custom_cnns_whitening_is_frozen_and_everything_else_trained(custom):
    assert not custom.get_layer("whiten").trainable_weights
    frozen = {id(weight) for weight in custom.non_trainable_weights}
    statistics = [
        weight
        for layer in custom.layers
        if isinstance(layer, keras.layers.BatchNormalization)
        for weight in layer.non_trainable_weights
    ]
    assert frozen == {id(weight) for weight in [*custom.get_layer("whiten").weights, *statistics]}


def test_whitening_makes_the_patches_components_uncorrelated(custom, images):
    scaled = custom.get_layer("scale")(images[0][:1000])
    responses = np.asarray(custom.get_layer("whiten")(scaled)).reshape(-1, 24)
    assert np.allclose(responses[:, :12], -responses[:, 12:], atol=1e-4)
    second_moments = responses[:, :12].T @ responses[:, :12] / len(responses)
    assert np.allclose(second_moments - np.diag(np.diag(second_moments)), 0, atol=1e-2)
    assert (np.diag(second_moments) > 0.5).all()
    assert (np.diag(second_moments) < 1.01).all()


def test_custom_cnns_convolutions_start_by_passing_their_input_through(custom):
    convolutions = [layer for layer in custom.layers if layer.name.endswith("_conv")]
    assert len(convolutions) in (6, 9)
    for layer in convolutions:
        kernel = layer.get_weights()[0]
        channels = min(kernel.shape[2:])
        identity = np.zeros((3, 3, kernel.shape[2], channels))
        identity[1, 1, range(channels), range(channels)] = 1
        assert np.array_equal(kernel[..., :channels], identity)
        assert kernel[..., channels:].any(axis=(0, 1, 2)).all()
