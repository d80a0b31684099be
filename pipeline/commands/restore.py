import click

from pipeline.commands import connected


@click.command
def command() -> None:
    """Tell an empty or lost MLflow store what the files know.

    Runs, epochs, models and the version are made again from what `dvc pull` brings. Doing it again adds nothing.

    \b
    Examples:
      dvc pull --allow-missing && pipeline restore
    """
    connected()
    from pipeline import restoring

    for line in restoring.restore():
        click.echo(line)
