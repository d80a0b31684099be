"""One short module for each command of `python -m pipeline`: `command`, made with click, imports what it needs itself."""
