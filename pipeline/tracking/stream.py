"""A training, shown in MLflow while it goes. A store that fails costs a warning, and no training."""

import contextlib
import os
import platform
import sys
import time
from collections.abc import Callable, Iterator

import mlflow
from mlflow import MlflowClient
from mlflow.entities import Metric
from mlflow.environment_variables import MLFLOW_HTTP_REQUEST_MAX_RETRIES

from pipeline.core import errors
from pipeline.tracking import runs, store
from pipeline.tracking.attempts import Attempt

# Each metric of an epoch, and its column in the history; SECONDS is not in it, and is only streamed.
EPOCH = ("loss", "accuracy", "val_loss", "val_accuracy", "learning_rate")
SECONDS = "seconds"
RETRIES = "3"  # of a request, each after twice the time: a store that is away for seconds is waited for, no longer


class Stream:
    """Shows a training in MLflow; after the first failure it is silent."""

    def __init__(self) -> None:
        self._works = True
        os.environ.setdefault(MLFLOW_HTTP_REQUEST_MAX_RETRIES.name, RETRIES)

    def attempt(self, request: Callable[..., object], *arguments: object) -> None:
        """Make a request of the store, unless one has failed before."""
        if not self._works:
            return
        try:
            request(*arguments)
        except (*store.FAILURES, OSError) as error:
            self._works = False
            os.environ[MLFLOW_HTTP_REQUEST_MAX_RETRIES.name] = "0"  # of what MLflow tries on its own when it ends
            reason = " ".join(store.reason(error).split())[:200]
            warning = f"{mlflow.get_tracking_uri()} failed: training goes on, `dvc repro` logs it later ({reason})"
            print(f"warning: {errors.one_line(warning)}", file=sys.stderr)

    def epoch(self, row: dict[str, float]) -> None:
        """Show a row of the history, unless the run has it: it was killed and goes on."""
        self.attempt(lambda: log_epochs(mlflow.active_run().info.run_id, [row]))

    def result(self, stage: str, fingerprint: str) -> None:
        """Tag the run with the one before it that has the same model, if there is one: stage `track` shows that one."""
        self.attempt(_repeats, stage, fingerprint)


@contextlib.contextmanager
def stream(name: str, tags: dict[str, str], params: dict[str, str], current: Attempt) -> Iterator[Stream]:
    """Yield what shows a training: in the run of `current`, if that was interrupted, or else in a new one.

    The run ends FINISHED, FAILED after an error, or KILLED after Ctrl-C or SIGTERM.
    """
    live = Stream()
    live.attempt(_begin, name, tags, params, current)
    try:
        yield live
    except BaseException as error:
        live.attempt(mlflow.set_tag, runs.ENDED, f"{type(error).__name__}: {error}"[:250])
        live.attempt(mlflow.end_run, runs.KILLED if isinstance(error, KeyboardInterrupt) else runs.FAILED)
        raise
    live.attempt(mlflow.end_run, runs.FINISHED)


def log_epochs(run_id: str, rows: list[dict[str, float]]) -> None:
    """Log rows of a history as metrics of their epochs, those alone that the run lacks."""
    client, now = MlflowClient(), int(time.time() * 1000)
    missing = []
    for key in (*EPOCH, SECONDS):
        known = {point.step for point in client.get_metric_history(run_id, key)}
        fresh = [row for row in rows if key in row and int(row["epoch"]) not in known]
        missing += [Metric(key, float(row[key]), now, int(row["epoch"])) for row in fresh]
    client.log_batch(run_id, metrics=missing)


def _begin(name: str, tags: dict[str, str], params: dict[str, str], current: Attempt) -> None:
    for given_up in runs.tagged({runs.ATTEMPT: current.superseded}) if current.superseded else []:
        if given_up.info.status == runs.RUNNING:
            MlflowClient().set_tag(given_up.info.run_id, runs.ENDED, "killed, and superseded after a change")
            MlflowClient().set_terminated(given_up.info.run_id, runs.KILLED)
    tags = {"host": platform.node(), runs.INPUTS: current.inputs, runs.ATTEMPT: current.id} | tags
    known = next(iter(runs.tagged({runs.ATTEMPT: current.id})), None)
    if known is None:
        mlflow.start_run(run_name=name, tags=tags, log_system_metrics=True)
        mlflow.log_params(params)
        return
    print(f"going on with run {known.info.run_id}")
    tags["resumed"] = str(int(known.data.tags.get("resumed", 0)) + 1)  # times
    mlflow.start_run(run_id=known.info.run_id, tags=tags, log_system_metrics=True)
    if runs.ENDED in known.data.tags:
        mlflow.delete_tag(runs.ENDED)


def _repeats(stage: str, fingerprint: str) -> None:
    if known := runs.complete(stage, fingerprint):
        mlflow.set_tag("repeats", known.info.run_id)
