import click


@click.command
def command() -> None:
    """Mend what DVC or MLflow was killed in writing.

    A damaged dvc.lock is put back as it was when the last stage began; `dvc repro` runs or restores what it lacks. A
    damaged list of DVC's running commands is deleted, and so is a store that MLflow began to make and never used.

    \b
    Examples:
      pipeline mend && dvc repro
    """
    from pathlib import Path

    from pipeline.core import errors, paths
    from pipeline.recovery import mend
    from pipeline.tracking.provenance import LOCK

    if not Path("dvc.yaml").exists():
        raise errors.UserError("dvc.yaml not found: run from the repository's root")
    if mend.running():
        click.echo(f"{mend.RUNNING} was damaged, and is deleted")
    if mend.store(paths.shared(paths.STORE)):
        click.echo(f"{paths.STORE}/mlflow.db was begun and never used, and is deleted")
    if mend.lock():
        click.echo(f"{LOCK} was damaged: it is what it was when the last stage began")
