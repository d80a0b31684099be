"""`pipeline COMMAND`: what people do besides `dvc repro`. A command is a module of pipeline/cli."""

import importlib
import os
import pkgutil
import sys
from pathlib import Path
from typing import Any

import click

from pipeline import cli
from pipeline.core import errors

MODULES: dict[str, Any] = dict.fromkeys(module.name for module in pkgutil.iter_modules(cli.__path__))


class Commands(click.Group):
    """Finds a command's module by its name, and imports it when it is asked for."""

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        return importlib.import_module(f"{cli.__name__}.{name}").command if name in self.commands else None


@click.command(cls=Commands, name="pipeline", commands=MODULES)
@click.version_option(package_name="cifar10-mlops", message="%(prog)s %(version)s")
def main() -> None:
    """Use and look after what `dvc repro` made. Run it from the repository's root.

    \b
    Examples:
      pipeline predict photos
      pipeline history --json
      pipeline lineage @champion

    \b
    Exit status:
      0    all was done
      1    an error, which a line on stderr names; what was verified does not hold
      2    wrong usage
      3    predict: some files could not be read, the others were done
      130  interrupted by Ctrl-C or SIGTERM
    """
    code, own = Path("pipeline/__main__.py"), Path(__file__)
    if code.is_file() and not code.samefile(own):  # of an environment that was copied or is another clone's
        remedy = "activate this folder's environment (`. .venv/bin/activate`), which any make target makes"
        raise errors.UserError(f"this `pipeline` belongs to {own.parents[1]}: {remedy}")


def entry() -> None:
    """The program `pipeline`."""
    errors.run(_run, interrupted="run the command again")


def _run() -> None:
    plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"  # no-color.org
    color = False if plain else None  # None: colours where the output is a terminal
    try:
        status = main(prog_name="pipeline", standalone_mode=False, color=color)
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        sys.exit(error.exit_code)
    except click.UsageError as error:
        where = error.ctx.command_path if error.ctx else "pipeline"
        message = f"{click.style('error:', fg='red')} {' '.join(error.format_message().split())} (`{where} --help`)"
        click.echo(message, err=True, color=color)
        sys.exit(error.exit_code)
    except click.Abort:  # Ctrl-C, of which click makes an error like others
        raise KeyboardInterrupt from None
    if status:
        sys.exit(status)


if __name__ == "__main__":
    entry()
