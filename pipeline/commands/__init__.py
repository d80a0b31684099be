"""One short module for each command of `pipeline`: its `command`, made with click."""
