import click

from pipeline.cli import as_json, show


@click.command
@as_json
def command(as_json: bool) -> None:
    """Fill an empty or lost MLflow store from the files.

    Runs, epochs, models and the version are made again from what `dvc pull` brings. Doing it again adds nothing.

    \b
    Examples:
      dvc pull --allow-missing && pipeline restore
      pipeline restore --json
    """
    from pipeline.core import environment

    params = environment.check()
    from pipeline.recovery import restore
    from pipeline.tracking import store

    lines = restore.restore(params, store.connect(params))
    show(as_json, list(lines) if as_json else None, lines)
