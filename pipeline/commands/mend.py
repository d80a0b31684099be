import click


@click.command
def command() -> None:
    """Mend a dvc.lock that DVC was killed in writing.

    It becomes what it was when the last stage began. What it lacks then, `dvc repro` runs, or finds, again.

    \b
    Examples:
      pipeline mend && dvc repro
    """
    from pipeline import locked

    if locked.mend():
        click.echo(f"{locked.LOCK} was damaged: it is what it was when the last stage began")
