import click

from pipeline.cli import as_json, show


@click.command
@click.argument("store", default="mlruns", type=click.Path())
@as_json
def command(store: str, as_json: bool) -> None:
    """Mend an MLflow store after its folder was moved.

    STORE is the folder with mlflow.db (SQLite), by default mlruns. All paths in it are changed, or none.

    \b
    Examples:
      pipeline relocate
      pipeline relocate /srv/cifar10/mlruns
    """
    from pathlib import Path

    from pipeline.recovery import relocate

    changed = relocate.relocate(Path(store))
    lines = [f"{store}: {count} paths changed from {old} to {Path(store).resolve()}" for old, count in changed.items()]
    show(as_json, {str(old): count for old, count in changed.items()}, lines or [f"{store}: nothing to mend"])
