"""`python -m pipeline.readme` (or `make readme`): writes reports/results.md into the README."""

from pathlib import Path

from pipeline import errors, paths
from pipeline.files import replacing

BEGIN, END = "<!-- results -->", "<!-- /results -->"


def main() -> None:
    table = paths.REPORTS / "results.md"
    if not table.is_file():
        raise errors.UserError(f"{table} is missing; run `dvc repro` first")
    changed = insert(Path("README.md"), table.read_text())
    print("README.md:", "results written" if changed else "results unchanged")


def insert(readme: Path, table: str) -> bool:
    """Put the table between the README's markers; return whether that changed the file.

    Raises UserError if the markers are not there.
    """
    text = readme.read_text()
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise errors.UserError(f"{readme} needs the lines {BEGIN} and {END}; the table goes between them")
    new = f"{before}{BEGIN}\n{table}{END}{after}"
    if new != text:
        with replacing(readme) as temporary:
            temporary.write_text(new)
    return new != text


if __name__ == "__main__":
    errors.run(main)
