"""Profiles: files of conf/profile, each a set of changes to params.yaml."""

from pathlib import Path
from typing import Any

from pipeline.core.errors import UserError
from pipeline.core.files import list_files, read_yaml

FOLDER = Path("conf/profile")  # NAME.yaml


def laid_over(values: dict[str, Any], profile: str) -> dict[str, Any]:
    """Return `values`, as params.yaml has them, with a profile's changes, as `dvc exp run -S profile=NAME` makes them.

    An architecture may get new keys, and loses those that are null. Changes to one that `values` does not have are left
    out; the outcome is not checked. Raises UserError if there is no such profile, or it has another unknown key.
    """
    path = FOLDER / f"{profile}.yaml"
    if not path.is_file():
        known = ", ".join(file.stem for file in list_files(FOLDER, "*.yaml"))
        raise UserError(f"{path} is missing; the profiles are {known}")
    changes = read_yaml(path)
    if unknown := changes.keys() - values.keys():
        raise UserError(f"{path}: {min(unknown)} is not in params.yaml")
    models = {name: _entry(entry, changes.get("models", {}).get(name, {})) for name, entry in values["models"].items()}
    return _merged(values, {key: change for key, change in changes.items() if key != "models"}, str(path)) | {
        "models": models
    }


def _entry(values: Any, changes: Any) -> Any:
    if not isinstance(values, dict) or not isinstance(changes, dict):
        return changes
    both = values | {key: _entry(values.get(key, {}), change) for key, change in changes.items()}
    return {key: value for key, value in both.items() if value is not None}


def _merged(values: dict[str, Any], changes: dict[str, Any], where: str) -> dict[str, Any]:
    both = dict(values)
    for key, change in changes.items():
        if key not in values:
            raise UserError(f"{where}: {key} is not in params.yaml")
        nested = isinstance(change, dict) and isinstance(values[key], dict)
        both[key] = _merged(values[key], change, f"{where}: {key}") if nested else change
    return both
