from pathlib import Path

import click

from pipeline.cli import model_option

FORMATS = ("table", "csv", "json")


@click.command
@click.argument("places", metavar="PATH...", nargs=-1, required=True, type=click.Path(path_type=Path))
@model_option("@champion", "A version, alias or stage, or a .keras, .tflite or .onnx file.")
@click.option("--format", "form", type=click.Choice(FORMATS), help="By default that of FILE's suffix, or table.")
@click.option("--json", "form", flag_value="json", help="For a program to read: --format json.")
@click.option("--top", default=1, show_default=True, type=click.IntRange(1, 10), help="Classes shown of a picture.")
@click.option(
    "--output",
    metavar="FILE",
    type=click.Path(dir_okay=False, readable=False, path_type=Path),
    help="Write to FILE, whole or not at all, instead of to standard output (-).",
)
@click.pass_context
def command(
    context: click.Context, places: tuple[Path, ...], address: str, form: str | None, top: int, output: Path | None
) -> None:
    """The classes of pictures, by the champion or another model.

    PATH is a picture of any size and format that Pillow reads, or a folder, whose pictures are found by their suffix
    (what systems leave there, as ._cat.jpg, is left out). They are squeezed to 32 x 32 pixels. A file that cannot be
    read is named, and the others are done; the exit status is then 3.

    \b
    Examples:
      pipeline predict cat.png
      pipeline predict photos --top 3
      pipeline predict photos --model Production --output photos.csv
      pipeline predict photos --model models/custom_cnn/model.keras --json
    """
    import functools
    from collections import Counter

    from pipeline.core import files
    from pipeline.core.errors import UserError
    from pipeline.serving import load, pictures, predict

    suffix = output.suffix.lower().removeprefix(".") if output else ""
    form = form or (suffix if suffix in FORMATS else "table")
    if str(output) == "-":
        output = None
    try:
        load.check(address)
    except UserError as error:
        raise click.BadParameter(str(error), param_hint="--model") from None
    try:
        if output:
            files.locate(output)
    except UserError as error:
        raise click.BadParameter(str(error), param_hint="--output") from None
    counted = Counter(is_picture for _, is_picture in pictures.walk(places))
    count, left_out = counted[True], counted[False]
    if not count:
        raise UserError(f"no pictures in {', '.join(map(str, places))}: name some, or folders that have some")
    if left_out:
        click.echo(f"{left_out} files are no pictures by their suffix, and left out", err=True)

    @functools.cache
    def model() -> load.Model:
        """Loaded when the first picture has been read: a mistyped name is said at once."""
        name, loaded = load.load(address)
        click.echo(f"model: {name}", err=True)
        return loaded

    found = (path for path, is_picture in pictures.walk(places) if is_picture)
    predictions = predict.predict(found, lambda images: model()(images))
    unreadable = predict.write(predictions, count, form, top, output)
    if unreadable:
        click.echo(f"{unreadable} of {count} could not be read", err=True)
        context.exit(3)  # as `pipeline --help` says
