"""How an architecture is trained: the one place that chooses.

A method is a module with `task(name, params)`, what `training.fit` is to do, and `bfloat16_flags(name, params)`, the
flags of the CPUs on which bfloat16 was measured faster for it.
"""

from types import ModuleType

from pipeline import finetuning, scratch, transfer
from pipeline.params import Model


def of(settings: Model) -> ModuleType:
    """The method for an entry under `models` in params.yaml."""
    if not settings.weights:
        return scratch
    return transfer if settings.trunk.cut else finetuning
