"""An experiment-tracked workflow for image classification on CIFAR-10."""

import os

# Read when TensorFlow is first imported. oneDNN is off by default on CPUs without AVX-512, where it is much faster for
# these networks all the same.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # NumPy's threads, waiting in a busy loop, would slow TensorFlow's
os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")  # take GPU memory as it is needed
os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # the same with JAX
# 2: errors only. 3: none, where there is no driver of a GPU, since TensorFlow reports its absence as an error.
GPU_DRIVERS = ("/dev/nvidiactl", "/dev/kfd", "/dev/dxg")  # Nvidia's, AMD's, and those of Linux within Windows
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2" if any(map(os.path.exists, GPU_DRIVERS)) else "3")
os.environ.setdefault("GLOG_minloglevel", "2")
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # on by default, and sent to MLflow's makers
