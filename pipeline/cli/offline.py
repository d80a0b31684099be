import click

from pipeline.cli import as_json, show


@click.command
@as_json
def command(as_json: bool) -> None:
    """What a run without a network needs, and where to put it.

    Each file that is missing is named with its checksum. The exit status is 1 if a run would stop.

    \b
    Examples:
      pipeline offline
      pipeline offline && CIFAR10_OFFLINE=1 dvc repro
    """
    import sys

    from pipeline.core import environment
    from pipeline.core.environment import OFFLINE
    from pipeline.data import offline

    lines, ready = offline.look(environment.check(write=False))
    verdict = f"{OFFLINE}=1 dvc repro would {'run' if ready else 'stop: something is missing'}"
    needs = dict(line.split(": ", 1) for line in lines)
    show(as_json, {"ready": ready, "needs": needs}, [*lines, verdict])
    sys.exit(not ready)
