"""`python -m tools.readme` (or `make readme`): writes results and graph into the README, its pictures into docs/, and
the templates of `dvc plots`.

GitHub, GitLab and editors draw the graph, which is in Mermaid's language.
"""

import re
import subprocess
from pathlib import Path

import networkx

from pipeline.core import errors, paths
from pipeline.core.files import replacing
from pipeline.reporting import charts, render
from tools import plots

README = Path("README.md")
PICTURES = ("intervals", "accuracy")  # charts that the README shows


def main() -> None:
    table = paths.REPORTS / "results.md"
    if not table.is_file():
        raise errors.UserError(f"{table} is missing; run `dvc repro` first")
    for name in PICTURES:
        render.write(charts.CHARTS[name].draw(), Path("docs", f"{name}.svg"))
    plots.main()
    changed = [insert(README, "results", table.read_text()), insert(README, "graph", drawing(dag()))]
    print(f"{README}:", "written" if any(changed) else "unchanged")


def insert(readme: Path, what: str, text: str) -> bool:
    """Put the text between the README's markers of that name; return whether that changed the file.

    Raises UserError if the markers are not there.
    """
    before = readme.read_text()
    begin, end = f"<!-- {what} -->\n", f"<!-- /{what} -->\n"
    head, found, rest = before.partition(begin)
    _, closed, tail = rest.partition(end)
    if not (found and closed):
        raise errors.UserError(f"{readme} needs the lines {begin.strip()} and {end.strip()}; {what} go between them")
    after = f"{head}{begin}{text}{end}{tail}"
    if after != before:
        with replacing(readme) as temporary:
            temporary.write_text(after)
    return after != before


def dag() -> str:
    """Return the stages and the arrows between them in Mermaid's language, a foreach stage once, as DVC knows them."""
    result = subprocess.run(["dvc", "dag", "--mermaid", "--collapse-foreach-matrix"], capture_output=True, text=True)
    if result.returncode:
        raise errors.UserError(f"`dvc dag` fails: {result.stderr.strip()}")
    return result.stdout


def drawing(mermaid: str) -> str:
    """Return the graph as Markdown, without the arrows that a longer way implies."""
    arrow = re.compile(r"\s(node\d+)-->(node\d+)")
    kept = networkx.transitive_reduction(networkx.DiGraph(arrow.findall(mermaid))).edges
    lines = mermaid.rstrip().splitlines()
    shown = [line for line in lines if not (found := arrow.match(line)) or found.groups() in kept]
    return "\n".join(["```mermaid", *shown, "```", ""])


if __name__ == "__main__":
    errors.run(main)
