"""An experiment-tracked workflow for image classification on CIFAR-10."""

import os

# Read when TensorFlow is first imported. oneDNN is off by default on CPUs without AVX-512, where it is much faster for
# these networks all the same.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # NumPy's threads, waiting in a busy loop, would slow TensorFlow's
os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")  # take GPU memory as it is needed
os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # the same with JAX
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # on by default, and sent to MLflow's makers
