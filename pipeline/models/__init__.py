"""One module a network; its name is its key under `models` in params.yaml.

A network trained from scratch has a class `Network`, which checks `network` in params.yaml, and `build(images, ...)`,
the other arguments being its fields: a functional Keras model from float pictures (N, side, side, 3) in 0 to 255, sides
from 16 to 32 pixels, to float32 logits (N, 10). A pretrained one has `backbone(resolution, weights)`: a functional
Keras model from float pictures (N, resolution, resolution, 3) in 0 to 255, of any size with None, to a feature map, its
scaling inside and all its layers at the top level, so that it can be cut at any of them. Keras is imported within the
functions: params are checked without it.
"""

import importlib
from types import ModuleType


def get(name: str) -> ModuleType:
    """Import the module of one architecture, and of that one only."""
    return importlib.import_module(f"pipeline.models.{name}")
