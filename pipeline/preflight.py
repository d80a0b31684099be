"""What every stage checks before any work: params.yaml, git and dvc, the tracking server."""

import os
import shutil
from pathlib import Path

import requests

from pipeline import params
from pipeline.errors import UserError, require_space

TRACKING = "MLFLOW_TRACKING_URI"


def check() -> params.Params:
    """Return the checked params. Raises UserError at the first thing that would stop the work later."""
    checked = params.load()
    for program in ("git", "dvc"):
        if shutil.which(program) is None:
            raise UserError(f"{program} is not on the PATH: install it, or activate the environment (`make .venv`)")
    uri = os.environ.get(TRACKING, "")
    if uri.startswith(("http://", "https://")):
        _ask(uri, checked.tracking.timeout)
    require_space(Path(), 0)
    return checked


def _ask(uri: str, timeout: float) -> None:
    try:
        requests.get(f"{uri.rstrip('/')}/health", timeout=timeout).raise_for_status()
    except requests.RequestException as error:
        reason = f"answered {error.response.status_code}" if error.response is not None else "does not answer"
        raise UserError(f"the tracking server {uri} {reason}: start it, or unset {TRACKING}") from None
