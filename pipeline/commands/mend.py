import click


@click.command
def command() -> None:
    """Mend a dvc.lock that DVC was killed in writing.

    It becomes what it was when the last stage began. What it lacks then, `dvc repro` runs, or finds, again.

    \b
    Examples:
      pipeline mend && dvc repro
    """
    from pathlib import Path

    from pipeline import errors, locked

    if not Path("dvc.yaml").exists():
        raise errors.UserError("dvc.yaml not found: run from the repository's root")
    if locked.mend():
        click.echo(f"{locked.LOCK} was damaged: it is what it was when the last stage began")
