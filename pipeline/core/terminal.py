"""What may be shown on a terminal."""

import os


def color() -> bool | None:
    """Return click's `color`: False if the user wants none (no-color.org), or None: where the output is a terminal."""
    return False if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb" else None


def printable(text: str) -> str:
    """Return the text without what would steer a terminal: names of files, and what others wrote, may hold anything."""
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)
