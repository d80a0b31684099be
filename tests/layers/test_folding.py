"""Folding changes what a network computes by rounding errors only, and takes away every normalisation that it can."""

import keras
import numpy as np
import pytest

from pipeline import models
from pipeline.layers.folding import folded


@pytest.mark.parametrize(
    ("name", "left"), [("mobilenetv2", 0), ("efficientnetb0", 0), ("resnet50v2", 17), ("efficientnet_lite0", 0)]
)
def test_a_folded_backbone_computes_the_same(name, left):
    """ResNet50V2 normalises before its blocks, too, where no convolution precedes."""
    backbone = models.get(name).backbone(64, None)
    rng = np.random.default_rng(0)
    for layer in backbone.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.set_weights([rng.uniform(0.5, 1.5, weight.shape) for weight in layer.get_weights()])
    copy = folded(backbone)
    assert sum(isinstance(layer, keras.layers.BatchNormalization) for layer in copy.layers) == left
    pixels = rng.uniform(0, 255, (2, 64, 64, 3)).astype("float32")
    expected, found = (model.predict_on_batch(pixels) for model in (backbone, copy))
    assert expected.std() > 0
    assert np.abs(found - expected).max() < 1e-4 * np.abs(expected).max()


@pytest.mark.parametrize("settings", [{"scale": False}, {"epsilon": 0.1}])
@pytest.mark.parametrize("use_bias", [False, True])
@pytest.mark.parametrize("kind", [keras.layers.Conv2D, keras.layers.DepthwiseConv2D])
def test_any_plain_convolution_is_folded(kind, use_bias, settings):
    inputs = keras.Input((8, 8, 3))
    size = {"filters": 3} if kind is keras.layers.Conv2D else {}
    convolved = kind(kernel_size=3, use_bias=use_bias, **size)(inputs)
    model = keras.Model(inputs, keras.layers.BatchNormalization(**settings)(convolved))
    rng = np.random.default_rng(0)
    model.set_weights([rng.uniform(0.5, 1.5, weight.shape) for weight in model.get_weights()])
    copy = folded(model)
    assert len(copy.layers) == len(model.layers) - 1
    pixels = rng.normal(size=(2, 8, 8, 3)).astype("float32")
    assert np.allclose(model.predict_on_batch(pixels), copy.predict_on_batch(pixels), atol=1e-3)


def test_a_convolution_with_an_activation_is_left_alone():
    inputs = keras.Input((8, 8, 3))
    model = keras.Model(inputs, keras.layers.BatchNormalization()(keras.layers.Conv2D(4, 3, activation="relu")(inputs)))
    assert len(folded(model).layers) == len(model.layers)


def test_a_convolution_whose_sum_is_used_by_an_operation_is_left_alone():
    inputs = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(4, 3)(inputs)
    model = keras.Model(inputs, keras.layers.BatchNormalization()(x) + keras.ops.tanh(x))
    assert any(isinstance(layer, keras.layers.BatchNormalization) for layer in folded(model).layers)


def test_a_convolution_that_feeds_others_too_is_left_alone():
    inputs = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(4, 3, name="shared")(inputs)
    outputs = keras.layers.Add()([x, keras.layers.BatchNormalization(name="normalised")(x)])
    model = keras.Model(inputs, outputs)
    copy = folded(model)
    assert {"shared", "normalised"} <= {layer.name for layer in copy.layers}
    pixels = np.random.default_rng(0).normal(size=(2, 8, 8, 3)).astype("float32")
    assert np.allclose(model.predict_on_batch(pixels), copy.predict_on_batch(pixels), atol=1e-5)
