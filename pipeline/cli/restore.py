import click

from pipeline.cli import as_json, connected


@click.command
@as_json
def command(as_json: bool) -> None:
    """Tell an empty or lost MLflow store what the files know.

    Runs, epochs, models and the version are made again from what `dvc pull` brings. Doing it again adds nothing.

    \b
    Examples:
      dvc pull --allow-missing && pipeline restore
      pipeline restore --json
    """
    import json

    params = connected()
    from pipeline.recovery import restore
    from pipeline.tracking import store

    done = []
    for line in restore.restore(params, store.connect(params)):
        done.append(line)
        if not as_json:
            click.echo(line)
    if as_json:
        click.echo(json.dumps(done, indent=2))
