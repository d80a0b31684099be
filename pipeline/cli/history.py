import click

from pipeline.cli import as_json, connected


@click.command
@as_json
def command(as_json: bool) -> None:
    """Who made which version champion or challenger, and why.

    \b
    Examples:
      pipeline history
      pipeline history --json
    """
    import json

    from tabulate import tabulate

    params = connected()
    from pipeline.core.errors import printable
    from pipeline.registry import promotion

    entries = [
        {key: entry[key] for key in ("time", "who", "action", "from", "to", "why")}
        for entry in promotion.history(params.registry.model)
    ]
    if as_json:
        click.echo(json.dumps(entries, indent=2))
        return
    if not entries:
        click.echo("nothing was promoted yet: `dvc repro` does")
        return
    rows = [{key: printable(value or "") for key, value in entry.items()} for entry in entries]
    click.echo(tabulate(rows, headers="keys", disable_numparse=True))
