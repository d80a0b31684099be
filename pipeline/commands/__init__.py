"""One short module for each command of `python -m pipeline`: its `command`, made with click."""
