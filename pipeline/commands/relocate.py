import click


@click.command
@click.argument("store", default="mlruns", type=click.Path())
def command(store: str) -> None:
    """Mend an MLflow store (SQLite) after its folder was moved: STORE, by default mlruns."""
    from pathlib import Path

    from pipeline import relocation

    changed = relocation.relocate(Path(store))
    for old, count in changed.items():
        click.echo(f"{store}: {count} paths that began with {old}")
    if not changed:
        click.echo(f"{store}: nothing to mend")
