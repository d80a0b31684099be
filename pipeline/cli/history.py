import click

from pipeline.cli import as_json, connected, show


@click.command
@as_json
def command(as_json: bool) -> None:
    """Who made which version champion or challenger, and why.

    \b
    Examples:
      pipeline history
      pipeline history --json
    """
    from tabulate import tabulate

    params = connected()
    from pipeline.core.errors import printable
    from pipeline.registry import promotion

    entries = [
        {key: entry[key] for key in ("time", "who", "action", "from", "to", "why")}
        for entry in promotion.history(params.registry.model)
    ]
    rows = [{key: printable(value or "") for key, value in entry.items()} for entry in entries]
    table = tabulate(rows, headers="keys", disable_numparse=True)
    show(as_json, entries, [table or "nothing was promoted yet: `dvc repro` does"])
