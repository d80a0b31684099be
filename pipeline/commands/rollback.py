import click


@click.command
@click.argument("version", required=False)
@click.option("--why", required=True, help="The reason, kept in the history.")
def command(version: str | None, why: str) -> None:
    """Make the champion before the present one champion again, or VERSION, which once was."""
    from pipeline import preflight, registry, tracking

    params = preflight.check()
    tracking.connect(params)
    back = registry.rollback(params.registry.model, version, why)
    click.echo(f"{params.registry.model} version {back} is champion")
