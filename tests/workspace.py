"""A workspace in which the tests run the graph, and look at what it left."""

import json
import subprocess
import sys
from pathlib import Path

import mlflow
import pandas as pd
import yaml
from mlflow import MlflowClient
from mlflow.entities import Run

from pipeline.data import sources, weights
from tests import toy
from tools import surroundings

MODEL = "cifar10-classifier"
PARENT = "tags.mlflow.parentRunId"


class Workspace:
    """A copy of the project in which `dvc` and the stages run as a user would run them."""

    def __init__(self, folder: Path, raw: Path):
        self.folder = folder
        self.environment = surroundings.variables() | {sources.ENVIRONMENT: str(raw)}
        for variable in ("PYTHONPATH", weights.ENVIRONMENT):
            self.environment.pop(variable, None)

    def dvc(self, *arguments: str) -> subprocess.CompletedProcess:
        command = [sys.executable, "-m", "dvc", *arguments]
        return subprocess.run(command, cwd=self.folder, env=self.environment, capture_output=True, text=True)

    def git(self, *arguments: str) -> str:
        return toy.git(self.folder, *arguments)

    def pipeline(self, *arguments: str) -> subprocess.CompletedProcess:
        """Run a command of `python -m pipeline`."""
        command = [sys.executable, "-m", "pipeline", *arguments]
        return subprocess.run(command, cwd=self.folder, env=self.environment, capture_output=True, text=True)

    def read(self, name: str) -> dict:
        return json.loads((self.folder / name).read_text())

    @property
    def store(self) -> str:
        return f"sqlite:///{self.folder}/mlruns/mlflow.db"

    @property
    def client(self) -> MlflowClient:
        return MlflowClient(self.store)

    def runs(self) -> pd.DataFrame:
        """Those that are below no other."""
        mlflow.set_tracking_uri(self.store)
        found = mlflow.search_runs(experiment_names=["cifar10"])
        return found[found[PARENT].isna()] if PARENT in found else found

    def run(self, name: str) -> Run:
        """The run of a network, or of `ensemble`. There must be one."""
        experiment = self.client.get_experiment_by_name("cifar10").experiment_id
        (found,) = self.client.search_runs([experiment], f"attributes.run_name = '{name}'")
        return found

    def exports(self, run_id: str) -> dict[str, Run]:
        """The runs below a run, by their names."""
        experiment = self.client.get_run(run_id).info.experiment_id
        found = self.client.search_runs([experiment], f"{PARENT.replace('.', '.`', 1)}` = '{run_id}'")
        return {run.info.run_name: run for run in found}

    def change(self, model: str, **training) -> str:
        """Change a model's training params; return what params.yaml was before."""
        path = self.folder / "params.yaml"
        before = path.read_text()
        tree = yaml.safe_load(before)
        tree["models"][model]["training"] |= training
        path.write_text(yaml.safe_dump(tree, sort_keys=False))
        return before

    def candidates(self) -> set[str]:
        """Those of the registered versions, of which each has one."""
        versions = self.client.search_model_versions(f"name = '{MODEL}'")
        found = [version.tags["candidate"] for version in versions]
        assert len(found) == len(set(found))
        return set(found)
