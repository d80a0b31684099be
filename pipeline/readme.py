"""`python -m pipeline.readme` (or `make readme`): writes reports/results.md into the README."""

from pathlib import Path

from pipeline import errors, paths, results


def main() -> None:
    table = paths.REPORTS / "results.md"
    if not table.is_file():
        raise errors.UserError(f"{table} is missing; run `dvc repro` first")
    changed = results.into(Path("README.md"), table.read_text())
    print("README.md:", "results written" if changed else "results unchanged")


if __name__ == "__main__":
    errors.run(main)
