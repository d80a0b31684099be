import click

from pipeline.cli import as_json, connected, show, why


@click.command
@click.argument("version", required=False)
@why
@as_json
def command(version: str | None, why: str, as_json: bool) -> None:
    """Make the champion before this one champion again.

    Or VERSION, which once was champion. Rolling back again goes further back.

    \b
    Examples:
      pipeline rollback --why "worse in use"
      pipeline rollback 1 --why "the last one that worked"
    """
    model = connected().registry.model
    from pipeline.registry import promotion

    back = promotion.rollback(model, version, why)
    show(as_json, {"model": model, "champion": back}, [f"{model} version {back} is champion"])
