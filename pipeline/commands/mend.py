import click


@click.command
def command() -> None:
    """Mend a dvc.lock that DVC was killed in writing; what it lacks then is run, or found, again."""
    from pipeline import locked

    if locked.mend():
        click.echo(f"{locked.LOCK} was damaged: it is what it was when the last stage began")
