"""The environment of programs that work in a workspace of their own: smoke, tests and drills."""

import os

from pipeline import core

FOREIGN = ("MLFLOW_", "_MLFLOW_", "DVC_", "STUDIO_")  # what names the user's stores, servers and remotes begins so
HARMLESS = ("DVC_NO_ANALYTICS", "DVC_SITE_CACHE_DIR", "MLFLOW_DISABLE_TELEMETRY", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION")
# DVC's settings of the user and of the machine (a shared cache, experiments that are pushed) are left out as well.
SETTINGS = dict.fromkeys(("DVC_GLOBAL_CONFIG_DIR", "DVC_SYSTEM_CONFIG_DIR"), "/nonexistent")


def variables() -> dict[str, str]:
    """Return the variables for a child process that reads the user's data, and writes to no store of the user's."""
    own = {name: value for name, value in os.environ.items() if name in HARMLESS or not name.startswith(FOREIGN)}
    own = {name: value for name, value in own.items() if name not in core.REPOSITORY}
    return own | SETTINGS | {"KERAS_HOME": core.KERAS_HOME or os.devnull}


def isolate() -> None:
    """Take from this process what its child processes are not to have."""
    for name in os.environ.keys() - variables().keys():
        del os.environ[name]
    os.environ.update(SETTINGS)
