"""`python -m tools.readme` (or `make readme`): writes the results and the picture of the graph into the README.

GitHub, GitLab and editors draw the graph, which is in Mermaid's language.
"""

import re
import subprocess
from pathlib import Path

from pipeline.core import errors, paths
from pipeline.core.files import replacing

README = Path("README.md")


def main() -> None:
    table = paths.REPORTS / "results.md"
    if not table.is_file():
        raise errors.UserError(f"{table} is missing; run `dvc repro` first")
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
    """The stages and the arrows between them, in the language of Graphviz, as DVC knows them."""
    result = subprocess.run(["dvc", "dag", "--dot"], capture_output=True, text=True)
    if result.returncode:
        raise errors.UserError(f"`dvc dag` fails: {result.stderr.strip()}")
    return result.stdout


def drawing(dot: str) -> str:
    """The graph for Mermaid: a foreach stage once, in a double frame, and no arrow that a longer way implies."""
    stages = list(dict.fromkeys(re.findall(r'^"([^"]+)";', dot, re.MULTILINE)))
    arrows = {tuple(map(_group, arrow)) for arrow in re.findall(r'^"([^"]+)" -> "([^"]+)";', dot, re.MULTILINE)}
    groups = {_group(stage): "@" in stage for stage in stages}
    after = {group: {end for begin, end in arrows if begin == group} for group in groups}
    lines = [f'{group}[["{group}"]]' if several else f'{group}["{group}"]' for group, several in groups.items()]
    for group, following in after.items():
        implied = set().union(*(_reached(end, after) for end in following))
        lines += [f"{group} --> {end}" for end in groups if end in following - implied]
    return "\n".join(["```mermaid", "flowchart TD", *(f"    {line}" for line in lines), "```", ""])


def _group(stage: str) -> str:
    return stage.partition("@")[0]


def _reached(stage: str, after: dict[str, set[str]]) -> set[str]:
    """All stages that come after a stage."""
    return after[stage].union(*(_reached(end, after) for end in after[stage]))


if __name__ == "__main__":
    errors.run(main)
