"""The processor that trains: GPU if there is one, the number format it multiplies fastest, XLA."""

from dataclasses import dataclass
from pathlib import Path

import keras

from pipeline.params import Compute

BFLOAT16_CPU = {"avx512_bf16", "amx_bf16"}  # flags of CPUs that multiply bfloat16 natively


@dataclass(frozen=True)
class Device:
    name: str
    precision: str  # Keras dtype policy: float32 or mixed_bfloat16
    xla: bool


def prepare(compute: Compute, scratch: bool, seed: int) -> Device:
    """Seed Python, NumPy and Keras, and set the dtype policy for training.

    `precision: auto` is bfloat16 on a GPU of compute capability 8 or more. On a CPU it is bfloat16 only for networks
    trained from `scratch`, and only where the CPU multiplies it natively: the pretrained networks' depthwise
    convolutions were measured to gain nothing. XLA is used on GPUs only: on CPUs it was measured 5 to 11 times slower.
    """
    keras.utils.set_random_seed(seed)
    found = gpu()
    native = found[1] >= 8 if found else scratch and bool(BFLOAT16_CPU & _cpu_flags())
    bfloat16 = native if compute.precision == "auto" else compute.precision == "bfloat16"
    name, precision = found[0] if found else "CPU", "mixed_bfloat16" if bfloat16 else "float32"
    device = Device(name, precision, xla=compute.xla and found is not None)
    keras.config.set_dtype_policy(device.precision)
    return device


def gpu() -> tuple[str, int] | None:
    """Name and major compute capability of the first GPU, if there is one."""
    if keras.backend.backend() == "jax":
        import jax

        gpus = [device for device in jax.devices() if device.platform == "gpu"]
        return (gpus[0].device_kind, int(float(gpus[0].compute_capability))) if gpus else None
    import tensorflow as tf

    gpus = tf.config.list_physical_devices("GPU")
    if not gpus:
        return None
    details = tf.config.experimental.get_device_details(gpus[0])
    return details.get("device_name", "GPU"), details.get("compute_capability", (0, 0))[0]


def _cpu_flags() -> set[str]:
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    return next((set(line.split()) for line in lines if line.startswith("flags")), set())
