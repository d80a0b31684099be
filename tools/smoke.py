"""`python -m tools.smoke` (or `make smoke`): the whole graph on few images, in a workspace of its own."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from ruamel.yaml import YAML

from pipeline.core import environment, errors, paths
from pipeline.core.files import read_yaml
from pipeline.data import cifar10, sources, weights
from tools import profiles

WORKSPACE = Path(".smoke")
EPOCHS = 2  # at most
RESULTS = ("dvc.lock", "metrics/", "plots/", "reports/", "registry.json")  # tracked, but of another run


def main() -> None:
    os.environ.pop(environment.TRACKING, None)  # its runs stay out of the user's store
    environment.check()
    make_workspace(WORKSPACE)
    variables = dict(os.environ)
    if sources.ENVIRONMENT not in variables and not cifar10.faults(paths.RAW, cifar10.BATCHES):
        variables[sources.ENVIRONMENT] = str(paths.RAW)
    for variable in (sources.ENVIRONMENT, weights.ENVIRONMENT):
        if variable in variables:
            variables[variable] = str(Path(variables[variable]).resolve())
    sys.exit(subprocess.run(["dvc", "repro"], cwd=WORKSPACE, env=variables, stderr=sys.stderr).returncode)


def make_workspace(folder: Path) -> None:
    """Copy the files that git does not ignore into `folder`, a repository of its own, with params for a smoke test.

    Data and models that an earlier smoke run left there are kept. Raises UserError outside a git repository.
    """
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    found = subprocess.run(command, capture_output=True, text=True)
    if found.returncode:
        raise errors.UserError(f"git does not list the files to copy: {found.stderr or 'no reason given'}")
    shutil.rmtree(folder / "pipeline", ignore_errors=True)
    for name in filter(None, found.stdout.split("\0")):
        if Path(name).is_file() and not name.startswith(RESULTS):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).unlink(missing_ok=True)
            shutil.copy2(name, folder / name, follow_symlinks=False)
    values = profiles.laid_over(read_yaml(paths.PARAMS), "smoke")
    for entry in values["models"].values():  # also one that the profile does not name
        entry["training"]["epochs"] = min(entry["training"]["epochs"], EPOCHS)
    values["weights"]["folder"] = str(Path(values["weights"]["folder"]).resolve())
    for source in values["data"]["sources"]:
        if source["type"] == "local":
            source["path"] = str(Path(source["path"]).resolve())
    YAML(pure=True).dump(values, folder / paths.PARAMS)
    git = ["git", "-c", "user.name=smoke", "-c", "user.email=smoke@localhost", "-c", "commit.gpgsign=false"]
    commit = ["commit", "--quiet", "--allow-empty", "--no-verify", "-m", "Smoke test"]
    for command in (["init", "--quiet"], ["add", "--all"], commit):
        subprocess.run([*git, *command], cwd=folder, check=True)


if __name__ == "__main__":
    errors.run(main)
