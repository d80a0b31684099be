import click

from pipeline.cli import as_json, connected, why


@click.command
@click.argument("version")
@why
@as_json
def command(version: str, why: str, as_json: bool) -> None:
    """Make VERSION the champion, whatever the gate said.

    VERSION is a number of the registered model. It gets alias `champion` and stage `Production`.

    \b
    Examples:
      pipeline promote 3 --why "asked for by the customer"
    """
    import json

    model = connected().registry.model
    from pipeline.registry import promotion

    before = promotion.enter(model, "promote", version, why, promotion.history(model))
    if as_json:
        click.echo(json.dumps({"model": model, "champion": version, "before": before}))
    elif before == version:
        click.echo(f"{model} version {version} is champion already")
    else:
        click.echo(f"{model} version {version} is champion; before it was {before or 'none'}")
