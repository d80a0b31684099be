"""The processor that trains: GPUs if there are any, the number format it multiplies fastest, XLA."""

import contextlib
import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras

from pipeline.core.schema import Compute

# CPU flags: of any CPU that multiplies bfloat16, and of those that multiply tiles of it, several times faster.
BFLOAT16, TILES = {"avx512_bf16", "amx_bf16"}, {"amx_bf16"}


@dataclass(frozen=True)
class Device:
    name: str
    gpus: int
    precision: str  # Keras dtype policy: float32 or mixed_bfloat16
    xla: bool


def prepare(compute: Compute, faster: set[str], seed: int) -> Device:
    """Seed Python, NumPy and Keras, and set the dtype policy.

    `precision: auto` is bfloat16 on a GPU of compute capability 8 or more, and with TensorFlow on a CPU that has one of
    the flags `faster`. With TensorFlow, XLA is used on GPUs only: on CPUs it was measured 5 to 11 times slower.
    """
    keras.utils.set_random_seed(seed)
    jax, found = keras.backend.backend() == "jax", gpus()
    native = found[0][1] >= 8 if found else not jax and bool(faster & _cpu_flags())
    bfloat16 = native if compute.precision == "auto" else compute.precision == "bfloat16"
    name, precision = found[0][0] if found else "CPU", "mixed_bfloat16" if bfloat16 else "float32"
    device = Device(name, len(found), precision, xla=jax or (compute.xla and bool(found)))
    keras.config.set_dtype_policy(device.precision)
    return device


def gpus() -> list[tuple[str, int]]:
    """Return name and major compute capability of each GPU."""
    if keras.backend.backend() == "jax":
        import jax

        found = [device for device in jax.devices() if device.platform == "gpu"]
        return [(device.device_kind, _major(device)) for device in found]
    import tensorflow as tf

    details = [tf.config.experimental.get_device_details(gpu) for gpu in tf.config.list_physical_devices("GPU")]
    return [(found.get("device_name", "GPU"), found.get("compute_capability", (0, 0))[0]) for found in details]


@contextlib.contextmanager
def spread(device: Device, batch_size: int, kind: str = "gpu") -> Iterator[Device]:
    """Within the block, networks are built and trained on several GPUs at once, each with its part of a batch.

    Yields the device with the GPUs in use: the largest number that divides `batch_size`. With TensorFlow, several
    GPUs go without XLA.
    """
    if keras.backend.backend() == "jax":
        import jax

        count = _share([device for device in jax.devices() if device.platform == kind], batch_size)
        if count > 1:
            names = [f"{kind}:{number}" for number in range(count)]
            keras.distribution.set_distribution(keras.distribution.DataParallel(devices=names))
        try:
            yield dataclasses.replace(device, gpus=count)
        finally:
            keras.distribution.set_distribution(None)
        return
    import tensorflow as tf

    devices = tf.config.list_logical_devices(kind.upper())
    count = _share(devices, batch_size)
    several = [device.name for device in devices[:count]]
    with tf.distribute.MirroredStrategy(several).scope() if count > 1 else contextlib.nullcontext():
        yield dataclasses.replace(device, gpus=count, xla=device.xla and count == 1)


def _major(gpu: Any) -> int:
    """Return the major compute capability of an NVIDIA GPU; 0 for others."""
    found = str(getattr(gpu, "compute_capability", "")).partition(".")[0]
    return int(found) if found.isdigit() else 0


def _share(devices: list, batch_size: int) -> int:
    return max((count for count in range(1, len(devices) + 1) if batch_size % count == 0), default=0)


def _cpu_flags() -> set[str]:
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    return next((set(line.split()) for line in lines if line.startswith("flags")), set())
