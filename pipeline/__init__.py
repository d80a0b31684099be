"""An experiment-tracked workflow for image classification on CIFAR-10."""

import os

# The repository is the one of the working folder, also where a git hook starts a program of ours: all that
# `git rev-parse --local-env-vars` names but settings (GIT_CONFIG...), which git hands on to a submodule, too.
REPOSITORY = (
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_COMMON_DIR",
    "GIT_DIR",
    "GIT_GRAFT_FILE",
    "GIT_IMPLICIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_INTERNAL_SUPER_PREFIX",
    "GIT_NAMESPACE",
    "GIT_NO_REPLACE_OBJECTS",
    "GIT_OBJECT_DIRECTORY",
    "GIT_PREFIX",
    "GIT_QUARANTINE_PATH",
    "GIT_REPLACE_REF_BASE",
    "GIT_SHALLOW_FILE",
    "GIT_WORK_TREE",
)
# Of Keras, the backend is the user's choice, by its variable; what it computes with is not. It finds no keras.json in a
# home that can be no folder, and writes none.
home = os.environ.get("KERAS_HOME", "")
KERAS_HOME = "" if home == os.devnull else home  # the user's, where data may be; a child process is given ours
os.environ["KERAS_HOME"] = os.devnull
os.environ["KERAS_BACKEND"] = os.environ.get("KERAS_BACKEND") or "tensorflow"
os.environ["JAX_ENABLE_X64"] = "0"  # with 64 bits, dropout draws other numbers
for name in (*REPOSITORY, "KERAS_MAX_EPOCHS", "KERAS_MAX_STEPS_PER_EPOCH", "KERAS_NNX_ENABLED"):
    os.environ.pop(name, None)

# Read when TensorFlow is first imported. oneDNN is off by default on CPUs without AVX-512, where it is much faster for
# these networks all the same.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # NumPy's threads, waiting in a busy loop, would slow TensorFlow's
os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")  # take GPU memory as it is needed
os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # the same with JAX
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # on by default, and sent to MLflow's makers
