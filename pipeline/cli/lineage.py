import click
from click.shell_completion import CompletionItem

from pipeline.cli import MARKS, as_json, completing, connected, show


def _subjects(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Completes a subject; runs and versions would have to be asked for."""
    from pipeline.core.params import architectures

    stages = [f"{stage}@{name}" for stage in ("train", "evaluate") for name in architectures()]
    return completing(*MARKS, "dvc.lock", "ensemble", *stages)(context, parameter, incomplete)


@click.command
@click.argument("subject", shell_complete=_subjects)
@click.option("--verbose", is_flag=True, help="Print every figure, artifact, dependency and output, too.")
@as_json
def command(subject: str, verbose: bool, as_json: bool) -> None:
    """Where SUBJECT comes from, and its versions, verified.

    SUBJECT is a version, an alias (@champion), a stage (Production), a run, a stage of dvc.lock (train@custom_cnn),
    dvc.lock, or a .keras file. Store and files are compared anew. The first link that does not hold is named, and ends
    the command.

    \b
    Examples:
      pipeline lineage @champion
      pipeline lineage train@custom_cnn
      pipeline lineage downloads/model.keras --json
    """
    params = connected(write=False)
    from pipeline.lineage import verify

    lines = (line for line in verify.trace(subject, params.registry.model) if verbose or not line.detail)
    links = [{"depth": line.depth, "link": line.text} for line in lines] if as_json else []
    show(as_json, links, (f"{'  ' * line.depth}{line.text}" for line in lines))
