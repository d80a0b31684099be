"""Number format and XLA by device; training spread over several devices is training on one; both backends train."""

import json
import os
import subprocess
import sys

import pytest

from pipeline.training import device
from tests.conftest import ROOT

# Two virtual CPU devices; ten steps on both and on one; prints both losses.
SPREAD = """
import json
import numpy as np
import pipeline, keras
if keras.backend.backend() == "tensorflow":
    import tensorflow as tf
    cpus = [tf.config.LogicalDeviceConfiguration()] * 2
    tf.config.set_logical_device_configuration(tf.config.list_physical_devices("CPU")[0], cpus)
else:
    import jax
    jax.config.update("jax_num_cpu_devices", 2)
from pipeline.core.params import load
from pipeline.models import custom_cnn
from pipeline.training import device, fit
from pipeline.training.augmentation import augmented
from pipeline.training.batches import AugmentedImages, one_hot

settings = load().models["custom_cnn"].training.model_copy(
    update={"epochs": 2, "batch_size": 32, "learning_rate": 0.05, "small_share": 0.0, "cutmix": 0.5}
)
rng = np.random.default_rng(0)
images, labels = rng.integers(0, 256, (320, 32, 32, 3), "uint8"), rng.integers(0, 10, 320, "uint8")

def after_ten_steps(used):
    keras.utils.set_random_seed(0)
    network = custom_cnn.build(images, [8, 8, 8], 2, "relu")
    trained = augmented(network, images, True)
    batches = lambda epoch: AugmentedImages(labels, settings, 32, 0, epoch)
    task = fit.Task(trained, network, batches, (images, one_hot(labels)), {}, 0.9, None)
    return fit.fit(task, settings, used, lambda row: None)["val_loss"].tolist()

xla = keras.backend.backend() == "jax"
one = after_ten_steps(device.Device("CPU", 0, "float32", xla))
with device.spread(device.Device("CPU", 2, "float32", xla), settings.batch_size, "cpu") as shared:
    several = after_ten_steps(shared)
print("RESULT", json.dumps([shared.gpus, one, several]))
"""


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["tensorflow", "jax"])
def test_the_loss_after_ten_steps_on_two_devices_is_that_of_one(backend):
    environment = os.environ | {"KERAS_BACKEND": backend, "PYTHONPATH": str(ROOT)}
    result = subprocess.run([sys.executable, "-c", SPREAD], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr[-3000:]
    count, one, several = json.loads(result.stdout.split("RESULT")[1])
    assert count == 2
    assert several == pytest.approx(one, abs=1e-4)  # after 10 steps, and after 20


@pytest.mark.slow
def test_the_training_core_runs_on_jax_without_tensorflow():
    """Its tests once more, in a process that has the other backend and cannot import TensorFlow."""
    blocked = (
        "import sys, pytest\n"
        "class Blocked:\n"
        "    def find_spec(self, name, *rest):\n"
        "        if name.partition('.')[0] == 'tensorflow':\n"
        "            raise ModuleNotFoundError(name)\n"
        "sys.meta_path.insert(0, Blocked())\n"
        "sys.exit(pytest.main(sys.argv[1:]))"
    )
    tests = [f"tests/training/test_{name}.py" for name in ("fit", "batches", "finetune")]
    command = [sys.executable, "-c", blocked, "-q", "-p", "no:cacheprovider", *tests]
    environment = os.environ | {"KERAS_BACKEND": "jax"}
    result = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout[-3000:]


@pytest.mark.parametrize(("sizes", "batch_size", "share"), [(2, 32, 2), (3, 32, 2), (8, 512, 8), (0, 32, 0), (4, 7, 1)])
def test_a_batch_is_spread_over_as_many_devices_as_divide_it(sizes, batch_size, share):
    assert device._share(["device"] * sizes, batch_size) == share


@pytest.mark.parametrize(
    ("precision", "native", "bfloat16"),
    [
        ("float32", True, False),
        pytest.param("bfloat16", False, True, marks=pytest.mark.slow),
        ("auto", False, False),
        pytest.param("auto", True, True, marks=pytest.mark.slow),
    ],
)
def test_the_number_format_follows_params_and_the_cpu(precision, native, bfloat16, checked):
    """In a process that sees no GPU and has TensorFlow, whatever this one has. Each CPU has some flag."""
    code = (
        "import sys, pipeline, keras\n"
        "from pipeline.core import params\nfrom pipeline.training import device\n"
        f"compute = params.load().compute.model_copy(update={{'precision': {precision!r}}})\n"
        f"flags = device._cpu_flags() if {native} else set()\n"
        "used = device.prepare(compute, flags, seed=0)\n"
        "print('RESULT', used.precision, keras.config.dtype_policy().name, used.xla, used.gpus)\n"
    )
    environment = os.environ | {"KERAS_BACKEND": "tensorflow", "CUDA_VISIBLE_DEVICES": "", "PYTHONPATH": str(ROOT)}
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True)
    policy = "mixed_bfloat16" if bfloat16 else "float32"
    assert result.stdout.split("RESULT")[1].split() == [policy, policy, "False", "0"], result.stderr[-2000:]
