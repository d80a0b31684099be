import click


@click.command
@click.argument("version")
@click.option("--why", required=True, help="The reason, kept in the history.")
def command(version: str, why: str) -> None:
    """Make VERSION of the registered model the champion, whatever the gate said."""
    from pipeline import preflight, registry, tracking

    params = preflight.check()
    tracking.connect(params)
    model = params.registry.model
    before = registry.promote(model, version, why, registry.history(model))
    if before == version:
        click.echo(f"{model} version {version} is champion already")
    else:
        click.echo(f"{model} version {version} is champion; before it was {before or 'none'}")
