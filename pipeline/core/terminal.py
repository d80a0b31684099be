"""How `pipeline` looks: bold headings, red words of failure, on a terminal only, and nowhere if NO_COLOR is set."""

import os
import re

import click

HEADING = re.compile(r"^[\w ]+:$", re.MULTILINE)


def color() -> bool | None:
    """Click's `color`: None leaves it to whether the output is a terminal (no-color.org)."""
    return False if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb" else None


class Formatter(click.HelpFormatter):
    """Help whose headings are bold: click's own, and lines like `Examples:` in a command's text."""

    def write_usage(self, prog: str, args: str = "", prefix: str | None = None) -> None:
        super().write_usage(prog, args, f"{_bold('Usage:')} ")

    def write_heading(self, heading: str) -> None:
        self.write(" " * self.current_indent + _bold(f"{heading}:") + "\n")

    def write_text(self, text: str) -> None:
        super().write_text(HEADING.sub(lambda found: _bold(found[0]), text))


class Context(click.Context):
    formatter_class = Formatter


def usage_error(error: click.UsageError) -> str:
    """One line: what is wrong, and where help is."""
    message = " ".join(error.format_message().split())
    where = error.ctx.command_path if error.ctx else "pipeline"
    return f"{click.style('error:', fg='red')} {message} (`{where} --help`)"


def printable(text: str) -> str:
    """Without what would steer a terminal: names of files, and what the store keeps of others, may hold anything."""
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)


def _bold(text: str) -> str:
    return click.style(text, bold=True)
