"""One short module for each command of `pipeline`: its `command`, made with click. Here is what several of them share.

A command imports what it needs when it runs: MLflow and TensorFlow take seconds, and `--help` does without.
"""

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

import click
from click.shell_completion import CompletionItem

if TYPE_CHECKING:
    from pipeline.core.schema import Params

MARKS = ("@champion", "@challenger", "@edge", "Production", "Staging")  # aliases and stages that versions have here

as_json = click.option("--json", "as_json", is_flag=True, help="For a program to read.")


def _said(context: click.Context, parameter: click.Parameter, text: str) -> str:
    if not text.strip():
        raise click.BadParameter("say why", context, parameter)
    return text


why = click.option("--why", required=True, metavar="TEXT", callback=_said, help="The reason, kept in the history.")


def connected() -> "Params":
    """The checked params, once MLflow knows its store. What is wrong with either is said before MLflow is imported."""
    from pipeline.core import environment

    params = environment.check()
    from pipeline.tracking import store

    logging.getLogger("mlflow.store.db.utils").disabled = True  # it prints a traceback of what is told in a line, too
    store.connect(params)
    return params


def completing(*words: str) -> Callable[..., list[CompletionItem]]:
    """Completes an argument or option by one of the words, or by a file's name if none begins like that."""

    def complete(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
        found = [CompletionItem(word) for word in words if word.startswith(incomplete)]
        return found or [CompletionItem(incomplete, type="file")]

    return complete
