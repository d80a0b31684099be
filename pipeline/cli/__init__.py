"""One short module for each command of `pipeline`: its `command`, made with click. Here is what several of them share.

A command imports what it needs when it runs: MLflow and TensorFlow take seconds, and `--help` does without.
"""

import json
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import click
from click.shell_completion import CompletionItem

if TYPE_CHECKING:
    from pipeline.core.schema import Params

MARKS = ("@champion", "@challenger", "@edge", "Production", "Staging")  # aliases and stages that versions have here

as_json = click.option("--json", "as_json", is_flag=True, help="For a program to read.")


def show(as_json: bool, value: object, lines: Iterable[str]) -> None:
    """Print what a command found: `value` as JSON; or else the lines, each as it comes."""
    if as_json:
        lines = [json.dumps(value, indent=2)]
    for line in lines:
        click.echo(line)


def _reason(context: click.Context, parameter: click.Parameter, text: str) -> str:
    if not text.strip():
        raise click.BadParameter("say why", context, parameter)
    return text


why = click.option("--why", required=True, metavar="TEXT", callback=_reason, help="The reason, kept in the history.")


def connected(write: bool = True) -> "Params":
    """The checked params, once MLflow knows its store. What is wrong with either is said before MLflow is imported.

    `write`: whether the command changes something, there or here. One that only reads needs no right to write.
    """
    from pipeline.core import environment

    params = environment.check(write=write)
    from pipeline.tracking import store

    store.connect(params, write)
    return params


def completing(*words: str) -> Callable[..., list[Any]]:
    """Completes an argument or option by one of the words, or by a file's name if none begins like that."""

    def complete(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[Any]:
        return [word for word in words if word.startswith(incomplete)] or [CompletionItem(incomplete, type="file")]

    return complete


def model_option(default: str, text: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Return the option that names a model, as argument `address`; `text` is its help."""
    complete = completing(*MARKS)
    names = ("--model", "address")
    return click.option(*names, metavar="MODEL", default=default, show_default=True, help=text, shell_complete=complete)
