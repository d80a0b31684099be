import click


@click.command
def command() -> None:
    """What a run without a network needs, where to put it, by which checksum it is known."""
    import sys

    from pipeline import offline, preflight
    from pipeline.download import OFFLINE

    lines, ready = offline.look(preflight.check())
    click.echo("\n".join(lines))
    click.echo(f"{OFFLINE}=1 dvc repro would {'run' if ready else 'stop: something is missing'}")
    sys.exit(not ready)
