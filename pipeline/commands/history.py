import click


@click.command
@click.option("--json", "as_json", is_flag=True, help="For a program to read.")
def command(as_json: bool) -> None:
    """Who made which version champion or challenger, when and why."""
    import json

    from tabulate import tabulate

    from pipeline import preflight, registry, tracking

    params = preflight.check()
    tracking.connect(params)
    entries = [
        {key: entry[key] for key in ("time", "who", "action", "from", "to", "why")}
        for entry in registry.history(params.registry.model)
    ]
    click.echo(json.dumps(entries, indent=2) if as_json else tabulate(entries, headers="keys", disable_numparse=True))
