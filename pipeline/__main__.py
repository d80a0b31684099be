"""`pipeline COMMAND`: what people do besides `dvc repro`. A command is a module of pipeline/commands."""

import importlib
import pkgutil

import click

from pipeline import commands, errors


class Commands(click.Group):
    """Finds a command's module by its name, and imports it when it is asked for."""

    def list_commands(self, context: click.Context) -> list[str]:
        return sorted(module.name for module in pkgutil.iter_modules(commands.__path__))

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        return (
            importlib.import_module(f"{commands.__name__}.{name}").command
            if name in self.list_commands(context)
            else None
        )


@click.command(cls=Commands, name="pipeline")
def main() -> None:
    """Look after the results of `dvc repro`. Run it from the repository's root."""


def entry() -> None:
    """The program `pipeline`."""
    errors.run(lambda: main(prog_name="pipeline"), interrupted="what was done is kept; run the command again")


if __name__ == "__main__":
    entry()
