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

    model = connected(write=False).registry.model
    from pipeline.core.errors import note, printable
    from pipeline.registry import promotion
    from pipeline.registry.standing import Standing

    found, keys = Standing.of(model), ("time", "who", "action", "from", "to", "why")
    entries = [{key: entry[key] for key in keys} for entry in found.entries]
    rows = [{key: printable(value or "") for key, value in entry.items()} for entry in entries]
    table = tabulate(rows, headers="keys", disable_numparse=True)
    show(as_json, entries, [table or "nothing was promoted yet: `dvc repro` does"])
    for line in promotion.amiss(found):
        note(line)
