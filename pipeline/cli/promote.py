import click

from pipeline.cli import as_json, connected, show, why


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
    model = connected().registry.model
    from pipeline.registry import promotion

    before = promotion.enter(model, "promote", version, why, promotion.settle(model))
    since = " already" if before == version else f"; before it was {before or 'none'}"
    value = {"model": model, "champion": version, "before": before}
    show(as_json, value, [f"{model} version {version} is champion{since}"])
