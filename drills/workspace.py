"""A workspace with the graph for one network on few images, in which a drill may break what it likes."""

import contextlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from ruamel.yaml import YAML

from pipeline.core import paths
from pipeline.core.files import read_yaml
from pipeline.data import cifar10, sources
from tools import smoke, surroundings

COMMAND = [sys.executable, "-m"]


@contextlib.contextmanager
def workspace() -> Iterator[Path]:
    """A folder that is taken away afterwards. The data come from where they would for the repository."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary, "workspace")
        smoke.make_workspace(folder)
        tree = read_yaml(folder / paths.PARAMS)
        tree["data"] |= {"subset": {"train": 1000, "test": 200}, "validation_images": 200}
        network = tree["models"]["custom_cnn"]
        network["training"] |= {"epochs": 5}
        tree["models"] = {"custom_cnn": network}
        YAML(pure=True).dump(tree, folder / paths.PARAMS)
        yield folder


def variables() -> dict[str, str]:
    """That of a user: this interpreter's programs, the data that are at hand, no store of the user's."""
    variables = surroundings.variables()
    variables["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{variables['PATH']}"
    if sources.ENVIRONMENT not in variables:
        for folder in (paths.RAW, Path(".cache/cifar10")):
            if not cifar10.faults(folder, cifar10.BATCHES):
                variables[sources.ENVIRONMENT] = str(folder.resolve())
    return variables


def dvc(folder: Path, *arguments: str, **more: str) -> subprocess.CompletedProcess:
    command = [*COMMAND, "dvc", *arguments]
    return subprocess.run(command, cwd=folder, env=variables() | more, capture_output=True, text=True)


def pipeline(folder: Path, *arguments: str) -> subprocess.CompletedProcess:
    command = [*COMMAND, "pipeline", *arguments]
    return subprocess.run(command, cwd=folder, env=variables(), capture_output=True, text=True)
