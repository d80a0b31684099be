"""`python -m tools.smoke` (or `make smoke`): the whole graph on few images, in a workspace of its own."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from ruamel.yaml import YAML

from pipeline.core import environment, errors, files, git, paths
from pipeline.core.files import read_yaml
from pipeline.data import cifar10, sources, weights
from tools import profiles, surroundings

WORKSPACE = Path(".smoke")
EPOCHS = 2  # at most
SETTINGS = ("user.name=smoke", "user.email=smoke@localhost", "commit.gpgsign=false", f"core.hooksPath={os.devnull}")
GIT = ["git", *(part for setting in SETTINGS for part in ("-c", setting))]  # without the user's hooks
OWN = ("--git-dir=.git", "--work-tree=.")  # the folder's repository, whatever is around it
RESULTS = ("dvc.lock", "metrics/", "plots/", "reports/", "registry.json")  # tracked, but of another run


def main() -> None:
    surroundings.isolate()  # its runs and versions stay out of the user's stores
    environment.check()
    make_workspace(WORKSPACE)
    variables = surroundings.variables()
    if sources.ENVIRONMENT not in variables and not cifar10.faults(paths.RAW, cifar10.BATCHES):
        variables[sources.ENVIRONMENT] = str(paths.RAW)
    for variable in (sources.ENVIRONMENT, weights.ENVIRONMENT):
        if variable in variables:
            variables[variable] = str(Path(variables[variable]).resolve())
    sys.exit(subprocess.run(["dvc", "repro"], cwd=WORKSPACE, env=variables, stderr=sys.stderr).returncode)


def make_workspace(folder: Path) -> None:
    """Copy the files that git does not ignore into `folder`, a repository of its own, with params for a smoke test.

    Data and models that an earlier smoke run left there are kept. Raises UserError outside a git repository, or if a
    link leads out of `folder`.
    """
    for path in (folder, folder / ".git"):
        if path.is_symlink() or (path.exists() and not path.is_dir()):
            raise errors.UserError(f"{path} leads to another place, or is no folder: remove it, and run again")
    names = git.ask("ls-files", "-z", "--cached", "--others", "--exclude-standard").split("\0")
    files.fresh_folder(folder / "pipeline")
    for name in filter(None, names):
        if Path(name).is_file() and not name.startswith(RESULTS):
            copied = folder / name
            if not copied.parent.resolve().is_relative_to(folder.resolve()):
                raise errors.UserError(f"{copied.parent} leads to another place: remove {folder}, and run again")
            copied.parent.mkdir(parents=True, exist_ok=True)
            copied.unlink(missing_ok=True)
            shutil.copy2(name, copied, follow_symlinks=False)
    values = profiles.laid_over(read_yaml(paths.PARAMS), "smoke")
    for entry in values["models"].values():  # also one that the profile does not name
        entry["training"]["epochs"] = min(entry["training"]["epochs"], EPOCHS)
    values["weights"]["folder"] = str(Path(values["weights"]["folder"]).resolve())
    for source in values["data"]["sources"]:
        if source["type"] == "local":
            source["path"] = str(Path(source["path"]).resolve())
    YAML(pure=True).dump(values, folder / paths.PARAMS)
    commit = ["commit", "--quiet", "--allow-empty", "-m", "Smoke test"]
    for command in (["init", "--quiet", "--template="], ["add", "--all"], commit):
        subprocess.run([*GIT, *OWN, *command], cwd=folder, check=True)


if __name__ == "__main__":
    errors.run(main)
