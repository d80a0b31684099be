import click


@click.command
@click.argument("store", default="mlruns", type=click.Path())
def command(store: str) -> None:
    """Mend an MLflow store (SQLite) after its folder was moved: STORE, by default mlruns."""
    from pathlib import Path

    from pipeline import relocation

    old, changed = relocation.relocate(Path(store))
    click.echo(f"{store}: {changed} paths that began with {old}" if changed else f"{store}: nothing to mend")
