"""`python -m pipeline.smoke` (or `make smoke`): the whole graph on few images, in a workspace of its own."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import yaml

from pipeline import cifar10, errors, paths, sources
from pipeline.preflight import TRACKING

WORKSPACE = Path(".smoke")
CHANGES = Path("conf/smoke.yaml")


def main() -> None:
    make_workspace(WORKSPACE)
    environment = dict(os.environ)
    environment.pop(TRACKING, None)  # its runs stay out of the user's store
    if sources.ENVIRONMENT not in environment and all((paths.RAW / name).is_file() for name in cifar10.BATCHES):
        environment[sources.ENVIRONMENT] = str(paths.RAW.resolve())
    result = subprocess.run(["dvc", "repro"], cwd=WORKSPACE, env=environment)
    sys.exit(result.returncode)


def make_workspace(folder: Path) -> None:
    """Copy the tracked files into `folder`, a git and DVC repository of its own, with the smoke test's params.

    Data and models that an earlier smoke run left there are kept.
    """
    folder.mkdir(parents=True, exist_ok=True)
    listed = subprocess.run(["git", "ls-files", "-z"], check=True, capture_output=True, text=True).stdout
    results = ("dvc.lock", "metrics/", "plots/", "reports/", "registry.json")
    for name in filter(None, listed.split("\0")):
        if Path(name).is_file() and not name.startswith(results):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(name, folder / name)
    params = yaml.safe_load(paths.PARAMS.read_text())
    weights = Path(params["weights"]["folder"]).resolve()
    params = merged(params, yaml.safe_load(CHANGES.read_text()))
    params["weights"]["folder"] = str(weights)
    (folder / paths.PARAMS).write_text(yaml.safe_dump(params, sort_keys=False))
    if not (folder / ".git").is_dir():
        subprocess.run(["git", "init", "--quiet"], cwd=folder, check=True)


def merged(values: dict, changes: dict) -> dict:
    """`values` with `changes` on top, section by section."""
    both = {key: merged(values[key], new) if isinstance(new, dict) else new for key, new in changes.items()}
    return values | both


if __name__ == "__main__":
    errors.run(main)
