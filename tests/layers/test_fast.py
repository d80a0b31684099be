"""Layers for CPUs are the stock ones: the same outputs, gradients and statistics, and the same weights in order."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from pipeline.layers.fast import FusedNormalization, MatrixDepthwise, accelerated
from pipeline.models import efficientnet_lite0
from pipeline.training.trunk import split


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize(
    ("side", "kernel", "padding"),
    [
        (side, kernel, padding)
        for side in (2, 3, 6, 7)
        for kernel in (2, 3, 5)
        for padding in ("same", "valid")
        if padding == "same" or kernel <= side  # a larger one has no output
    ],
)
def test_outputs_and_gradients_are_those_of_a_convolution(side, kernel, padding, stride):
    inputs = tf.constant(np.random.default_rng(0).normal(size=(3, side, side, 4)), "float32")
    settings = {"kernel_size": kernel, "strides": stride, "padding": padding, "use_bias": side % 2 == 0}
    expected, gradients = differentiated(keras.layers.DepthwiseConv2D(**settings), inputs)
    outputs, others = differentiated(MatrixDepthwise(**settings), inputs)
    assert outputs.shape == expected.shape
    assert np.allclose(outputs, expected, atol=1e-5)
    for one, other in zip(gradients, others, strict=True):
        assert np.allclose(one, other, atol=1e-4)


@pytest.mark.parametrize(("scale", "center"), [(True, True), (False, True), (True, False)])
def test_normalisation_in_training_and_its_statistics_are_those_of_the_stock_layer(scale, center):
    rng = np.random.default_rng(0)
    inputs = tf.constant(rng.normal(2, 3, (64, 8, 8, 4)), "float32")
    found = []
    for kind in (keras.layers.BatchNormalization, FusedNormalization):
        layer = kind(scale=scale, center=center, momentum=0.8, epsilon=1e-5)
        layer.build(inputs.shape)
        values = np.random.default_rng(1)
        layer.set_weights([values.uniform(1, 2, weight.shape) for weight in layer.get_weights()])
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            outputs = layer(inputs, training=True)
            loss = tf.reduce_sum(outputs**3)
        gradients = tape.gradient(loss, [inputs, *(variable.value for variable in layer.trainable_variables)])
        found.append([outputs, layer.moving_mean, layer.moving_variance, layer(inputs, training=False), *gradients])
    for stock, fused in zip(*found, strict=True):
        assert np.allclose(stock, fused, rtol=2e-3, atol=2e-3)


def differentiated(layer, inputs):
    """Outputs, and the gradients of the sum of their squares with respect to the inputs and the kernel."""
    layer.build(inputs.shape)
    layer.set_weights([np.random.default_rng(1).normal(size=weight.shape) for weight in layer.weights])
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        outputs = layer(inputs)
        loss = tf.reduce_sum(outputs**2)
    return outputs.numpy(), tape.gradient(loss, [inputs, layer.kernel.value])


def test_an_accelerated_network_is_the_same_function_of_the_same_weights():
    _, upper = split(efficientnet_lite0.backbone(96, None), "block10_add")
    copy = accelerated(upper)
    assert sum(isinstance(layer, MatrixDepthwise) for layer in copy.layers) == 4
    assert [weight.path for weight in copy.weights] == [weight.path for weight in upper.weights]
    activations = np.random.default_rng(0).normal(size=(2, *upper.input_shape[1:])).astype("float32")
    one, other = (np.asarray(model(activations, training=False)) for model in (upper, copy))
    assert one.std() > 0
    assert np.abs(other - one).max() < 1e-4 * one.max()
