"""What every stage checks before any work: params.yaml, git and dvc, the tracking server."""

import os
import shutil
import sys
from pathlib import Path

from pipeline import params, paths
from pipeline.errors import UserError, require_space
from pipeline.files import replacing

TRACKING = "MLFLOW_TRACKING_URI"
STORES = ("http", "https", "sqlite", "postgresql", "mysql", "mssql", "databricks")  # schemes that MLflow opens
MISSING = {"git": "install it first", "dvc": "activate the environment that make builds (`. .venv/bin/activate`)"}


def check() -> params.Params:
    """Return the checked params. Raises UserError at the first thing that would stop the work later."""
    checked = params.load()
    for program, remedy in MISSING.items():
        if shutil.which(program) is None:
            raise UserError(f"{program} is not on the PATH: {remedy}")
    uri = os.environ.get(TRACKING, "")
    if uri and uri.partition(":")[0].partition("+")[0] not in STORES:
        raise UserError(f"{TRACKING}: {uri} is no MLflow store: give http(s)://HOST or sqlite:///FILE, or unset it")
    if uri.startswith(("http://", "https://")):
        _ask(uri, checked.tracking.timeout)
    require_space(Path(), 0)
    _keep_lock()
    return checked


def _keep_lock() -> None:
    """Keep dvc.lock, which DVC has just read, for `pipeline mend`: DVC writes it in place."""
    lock = Path("dvc.lock")
    if "DVC_STAGE" in os.environ and lock.exists():
        with replacing(paths.LOCK_KEPT) as temporary:
            shutil.copyfile(lock, temporary)


def check_model() -> tuple[str, params.Params]:
    """Return the architecture that the command line names, and the checked params."""
    checked = check()
    if len(sys.argv) != 2 or sys.argv[1] not in checked.models:
        raise UserError(f"name one architecture of params.yaml: {', '.join(checked.models)}")
    return sys.argv[1], checked


def _ask(uri: str, timeout: float) -> None:
    import requests  # every stage starts with `check`, and few need this

    try:
        status = requests.get(f"{uri.rstrip('/')}/health", timeout=timeout).status_code
    except requests.RequestException:
        raise UserError(f"the tracking server {uri} does not answer: start it, or unset {TRACKING}") from None
    if status >= 500:
        raise UserError(f"the tracking server {uri} answers {status}: mend it, or unset {TRACKING}")
