"""What every other package stands on: paths, files, errors, parameters, progress.

Every program imports this first, and so here the surroundings' variables lose their hold on what is ours.
"""

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
# What changes the numbers that Keras and JAX compute; the backend is the user's choice, by its variable.
NUMBERS = ("KERAS_MAX_", "KERAS_NNX_", "JAX_DEFAULT_", "JAX_ENABLE_X64", "JAX_THREEFRY_", "NVIDIA_TF32_OVERRIDE")
for _name in [name for name in os.environ if name in REPOSITORY or name.startswith(NUMBERS)]:
    del os.environ[_name]
os.environ["KERAS_BACKEND"] = os.environ.get("KERAS_BACKEND") or "tensorflow"
# Keras finds no keras.json in a home that can be no folder, and writes none. The user's home may have data; a child
# process is given ours.
KERAS_HOME = os.environ.get("KERAS_HOME", "").removeprefix(os.devnull)
os.environ["KERAS_HOME"] = os.devnull
