"""Layers that compute what the stock ones do, but train much faster on a CPU. A saved model has the stock ones."""

from typing import Any

import keras
import numpy as np
from keras import ops

# From this kernel on, and up to maps of this side, in pixels: 3x3 kernels were measured slower as matrices, and the
# matrices grow with the fourth power of the side.
KERNEL, SIDE = 5, 7


class FusedNormalization(keras.layers.BatchNormalization):
    """BatchNormalization over all axes but the last, in training one operation of TensorFlow instead of ten.

    With the other backends, whose compiler fuses the ten, and in inference it is the stock layer.
    """

    def call(self, inputs: keras.KerasTensor, training: bool | None = None, mask: Any = None) -> keras.KerasTensor:
        """Maps (N, height, width, channels) to the same, normalised; statistics and sums are float32."""
        if not training or not self.trainable or keras.backend.backend() != "tensorflow":
            return super().call(inputs, training=training, mask=mask)
        import tensorflow as tf

        ones, zeros = tf.ones(inputs.shape[-1:]), tf.zeros(inputs.shape[-1:])
        outputs, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
            x=inputs,
            scale=tf.cast(self.gamma, "float32") if self.scale else ones,
            offset=tf.cast(self.beta, "float32") if self.center else zeros,
            mean=zeros[:0],
            variance=zeros[:0],
            epsilon=self.epsilon,
            is_training=True,
        )
        count = tf.cast(tf.size(inputs) / inputs.shape[-1], "float32")
        # TensorFlow returns the unbiased variance, Keras keeps the biased one.
        variance *= (count - 1) / count
        for moving, seen in ((self.moving_mean, mean), (self.moving_variance, variance)):
            moving.assign(moving * self.momentum + seen * (1 - self.momentum))
        return outputs


class MatrixDepthwise(keras.layers.DepthwiseConv2D):
    """DepthwiseConv2D of square maps, channels last: the same function of the same weights.

    On a map of a few pixels, a channel's convolution is a small matrix from its pixels to those of its output.
    """

    def call(self, inputs: keras.KerasTensor) -> keras.KerasTensor:
        """Maps (N, side, side, channels) to maps (N, side', side', channels), in the dtype of the policy."""
        side, channels = inputs.shape[1], inputs.shape[3]
        chosen = taps(side, self.kernel_size[0], self.strides[0], self.padding)
        inside, outside = chosen.shape[:2]
        placed = np.einsum("iok,plm->ipolkm", chosen, chosen).reshape(-1, self.kernel_size[0] ** 2)
        kernel = ops.reshape(self.kernel, (-1, channels))
        matrices = ops.reshape(ops.matmul(ops.cast(placed, kernel.dtype), kernel), (inside**2, outside**2, channels))
        outputs = ops.einsum("nic,ioc->noc", ops.reshape(inputs, (-1, inside**2, channels)), matrices)
        outputs = ops.reshape(outputs, (-1, outside, outside, channels))
        return outputs + ops.cast(self.bias, outputs.dtype) if self.use_bias else outputs


def taps(side: int, kernel: int, stride: int, padding: str) -> np.ndarray:
    """Float32 (input pixel, output pixel, kernel position): 1 where that position joins the two along one axis."""
    outside = -(-side // stride) if padding == "same" else (side - kernel) // stride + 1
    before = max((outside - 1) * stride + kernel - side, 0) // 2
    inputs, outputs, positions = np.ogrid[:side, :outside, :kernel]
    return (inputs == outputs * stride + positions - before).astype("float32")


def accelerated(model: keras.Model) -> keras.Model:
    """Return a copy for training, its weights in the same order, with the layers above where they are faster."""

    def copied(layer: keras.layers.Layer) -> keras.layers.Layer:
        kind = type(layer)
        if kind is keras.layers.BatchNormalization and layer.trainable and len(layer.input.shape) == 4:
            kind = FusedNormalization
        elif large_kernel(layer):
            kind = MatrixDepthwise
        return kind.from_config(layer.get_config())

    copy = keras.models.clone_model(model, clone_function=copied)
    copy.set_weights(model.get_weights())
    return copy


def large_kernel(layer: keras.layers.Layer) -> bool:
    """Return whether a layer is a depthwise convolution that MatrixDepthwise can replace, and computes faster."""
    if not isinstance(layer, keras.layers.DepthwiseConv2D) or layer.data_format != "channels_last":
        return False
    plain = layer.activation is keras.activations.linear and layer.depth_multiplier == 1
    height, width = layer.input.shape[1:3]
    square = (
        height == width and len({*layer.kernel_size}) == len({*layer.strides}) == 1 and {*layer.dilation_rate} == {1}
    )
    return plain and square and layer.kernel_size[0] >= KERNEL and height <= SIDE
