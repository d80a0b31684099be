import click


@click.command
@click.argument("subject")
@click.option("--json", "as_json", is_flag=True, help="For a program to read.")
def command(subject: str, as_json: bool) -> None:
    """Where SUBJECT comes from, and what came of it: every link is verified, hashes are computed anew.

    SUBJECT is a version, an alias (@champion), a stage (Production), a run, a stage of dvc.lock (train@custom_cnn),
    dvc.lock, or a .keras file. The first link that does not hold is named, and ends the command.
    """
    import json

    from pipeline import preflight, tracking, verification

    params = preflight.check()
    tracking.connect(params)
    lines = verification.trace(subject, params.registry.model)
    if as_json:
        click.echo(json.dumps([{"depth": depth, "link": line} for depth, line in lines], indent=2))
    else:
        for depth, line in lines:
            click.echo(f"{'  ' * depth}{line}")
