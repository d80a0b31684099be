from pathlib import Path

import click


@click.command
@click.argument(
    "images", metavar="IMAGE...", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path)
)
def command(images: tuple[Path, ...]) -> None:
    """A picture as the JSON that a served model takes.

    Its answer has a row of 10 probabilities for each IMAGE, in their order. Nothing is printed if one of them cannot be
    read.

    \b
    Examples:
      pipeline payload cat.png > cat.json
      pipeline payload cat.png dog.jpg | curl -s http://127.0.0.1:5001/invocations \\
        -H 'Content-Type: application/json' -d @-
    """
    import json

    from pipeline.core.errors import UserError
    from pipeline.serving import pictures

    inputs = []
    for path in images:
        try:
            inputs.append(pictures.read(path).tolist())
        except pictures.Unreadable as error:
            raise UserError(f"{path}: {error}") from None
    click.echo(json.dumps({"inputs": inputs}, separators=(",", ":")))
