"""What every stage checks before any work: params.yaml, dvc, Keras' backend, the MLflow store."""

import importlib.util
import os
import shutil
import sys
from pathlib import Path

from pipeline.core import connection, files, params, paths
from pipeline.core.errors import UserError, require_space
from pipeline.core.schema import Params

OFFLINE = "CIFAR10_OFFLINE"  # 1: nothing is downloaded
BACKEND, BACKENDS = "KERAS_BACKEND", ("tensorflow", "jax")
TRACKING = "MLFLOW_TRACKING_URI"
UNUSABLE = "?#%'"  # characters of a path that an address of an SQLite store cannot have
STORES = ("http", "https", "sqlite", "postgresql", "mysql", "mssql", "databricks")  # schemes that MLflow opens


def check(store: bool = True) -> Params:
    """Return the checked params, after dvc.lock is copied. Raises UserError at a fault; `store`: also of MLflow's."""
    checked = params.load()
    if shutil.which("dvc") is None:
        raise UserError("dvc is not on the PATH: activate the environment that make builds (`. .venv/bin/activate`)")
    check_backend()
    offline = os.environ.get(OFFLINE, "")
    if offline not in ("", "0", "1"):
        raise UserError(f"{OFFLINE}: {offline} says neither yes nor no: give 1, or unset it")
    for variable in connection.BUNDLES:
        if (named := os.environ.get(variable)) and not Path(named).exists():
            raise UserError(f"{variable}: {named} does not exist: name a file with certificates (PEM), or unset it")
    if store:
        _check_store(os.environ.get(TRACKING, ""), checked.tracking.timeout)
    require_space(Path(), 0)
    if "DVC_STAGE" in os.environ and Path("dvc.lock").exists():
        files.copy(Path("dvc.lock"), paths.LOCK_KEPT)  # for `pipeline mend`: DVC has just read it, and writes in place
    return checked


def check_backend() -> None:
    """Raise UserError unless Keras' backend is one of BACKENDS, and installed."""
    backend = os.environ[BACKEND]  # `import pipeline.core` sets it
    if backend not in BACKENDS:
        raise UserError(f"{BACKEND}: {backend} is not for this project: give {' or '.join(BACKENDS)}, or unset it")
    if importlib.util.find_spec(backend) is None:
        raise UserError(f"{BACKEND}: {backend} is not installed: install it, or name another of {', '.join(BACKENDS)}")


def check_model(store: bool = True, ensemble: bool = False) -> tuple[str, Params]:
    """Return the architecture (or `ensemble`, if allowed) of the command line, and the params. Raises as `check`."""
    checked = check(store)
    names = [*checked.models, "ensemble"] if ensemble else [*checked.models]
    if len(sys.argv) != 2 or sys.argv[1] not in names:
        raise UserError(f"name one of {', '.join(names)}")
    return sys.argv[1], checked


def _check_store(uri: str, timeout: float) -> None:
    if uri and uri.partition(":")[0].partition("+")[0] not in STORES:
        raise UserError(f"{TRACKING}: {uri} is no MLflow store: give http(s)://HOST or sqlite:///FILE, or unset it")
    if uri.startswith(("http://", "https://")):
        import requests  # every stage starts with `check`, and few need this
        from urllib3.exceptions import HTTPError  # which requests does not always translate

        try:
            status = requests.get(f"{uri.rstrip('/')}/health", timeout=timeout).status_code
        except (OSError, HTTPError) as error:
            reason = connection.reason(error)
            raise UserError(
                f"the tracking server {uri} does not answer ({reason}): start it, or unset {TRACKING}"
            ) from None
        if status >= 500:
            raise UserError(f"the tracking server {uri} answers {status}: mend it, or unset {TRACKING}")
    place = str(paths.shared(paths.STORE))
    if not uri and (wrong := sorted({*UNUSABLE} & {*place})):
        raise UserError(f"{place}: MLflow cannot keep a store where a name has {' '.join(wrong)}: rename the folder")
