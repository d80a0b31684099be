"""The project's pages as a reader meets them: sections, their blocks of code, and the commands in these."""

import re
from dataclasses import dataclass, field
from pathlib import Path

from tests.conftest import ROOT

PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
PROGRAMS = ("make", "pipeline", "dvc", "mlflow", "python", "pip", "git", "curl")


@dataclass
class Section:
    """A heading and what follows it, up to the next. `blocks`: language and text of each block of code."""

    page: Path
    title: str
    blocks: list[tuple[str, str]] = field(default_factory=list)

    def __str__(self) -> str:
        return f"{self.page.name}: {self.title}"

    @property
    def commands(self) -> list[str]:
        return [command for language, text in self.blocks if language == "console" for command in commands(text)]


def sections(page: Path) -> list[Section]:
    found, block = [Section(page, "")], None
    for line in page.read_text().splitlines():
        if line.startswith("```"):
            if block is None:
                block = (line.removeprefix("```"), [])
            else:
                found[-1].blocks.append((block[0], "\n".join(block[1])))
                block = None
        elif block is not None:
            block[1].append(line)
        elif line.startswith("#"):
            found.append(Section(page, line.lstrip("# ")))
    return found


def commands(console: str) -> list[str]:
    """The commands of a block: what follows a `$ `, lines that a backslash joins as one, without remarks."""
    whole = re.sub(r"\\\n\s*", "", console)
    typed = [line.removeprefix("$ ") for line in whole.splitlines() if line.startswith("$ ")]
    return [re.sub(r"\s+# .*$", "", command).strip() for command in typed]


def prose(page: Path) -> str:
    """The text of a page without its blocks of code."""
    return re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)


def mentioned(page: Path) -> list[str]:
    """The commands in the prose of a page: code that begins with a program that the pages use, or with variables."""
    spans = [" ".join(span.split()) for span in re.findall(r"`([^`]+)`", prose(page))]
    return [span for span in spans if re.match(rf"([A-Z_]+=\S* )*({'|'.join(PROGRAMS)}) ", span)]


def name(command: str) -> str:
    """What a command is called: `dvc repro` of `CIFAR10_OFFLINE=1 dvc repro --force`."""
    words = [word for word in command.split() if not re.match(r"[A-Z0-9_]+=", word)]
    if words[:2] == ["python", "-m"]:
        return " ".join(words[:3])
    return " ".join(word for word in words[:2] if not word.startswith(("-", "$", "/")))


def links(page: Path) -> list[str]:
    return re.findall(r"\]\(([^)\s]+)\)", prose(page))


def anchors(page: Path) -> set[str]:
    """What a link may have after its `#`: the headings, as GitHub writes them."""
    titles = re.findall(r"^#+ (.*)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}
