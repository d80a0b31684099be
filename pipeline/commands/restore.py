import click


@click.command
def command() -> None:
    """Tell an empty or lost MLflow store again what the files know. Doing it again adds nothing."""
    from pipeline import preflight, restoring, tracking

    tracking.connect(preflight.check())
    for line in restoring.restore():
        click.echo(line)
