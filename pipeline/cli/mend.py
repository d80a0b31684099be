import click


@click.command
@click.option("--migrate", is_flag=True, help="Also bring a store of an older MLflow up to the installed one.")
def command(migrate: bool) -> None:
    """Mend what DVC or MLflow was killed in writing.

    A damaged dvc.lock is put back as it was when the last stage began; `dvc repro` runs or restores what it lacks. A
    damaged list of DVC's running commands is deleted, and so is a store that MLflow began to make and never used.
    With --migrate a copy of the store is kept: MLflow cannot take a migration back.

    \b
    Examples:
      pipeline mend && dvc repro
      pipeline mend --migrate
    """
    from pathlib import Path

    from pipeline.core import environment, errors, paths
    from pipeline.recovery import mend
    from pipeline.recovery import migrate as migration
    from pipeline.tracking.provenance import LOCK

    if not Path("dvc.yaml").exists():
        raise errors.UserError("dvc.yaml not found: run from the repository's root")
    if mend.running():
        click.echo(f"{mend.RUNNING} was damaged, and is deleted")
    if mend.store(paths.shared(paths.STORE)):
        click.echo(f"{paths.STORE}/mlflow.db was begun and never used, and is deleted")
    if migrate:
        addresses = (environment.tracking_uri(), environment.registry_uri())
        databases = [*filter(None, map(environment.store_file, addresses))]
        if not databases:
            raise errors.UserError(f"{addresses[0]} is no file: migrate it where it is, with `mlflow db upgrade`")
        for database in databases:
            kept = database.is_file() and migration.migrate(database)
            click.echo(f"{database}: {f'migrated; the copy is {kept}' if kept else 'nothing to migrate'}")
    if mend.lock():
        click.echo(f"{LOCK} was damaged: it is what it was when the last stage began")
