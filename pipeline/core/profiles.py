"""Profiles: files of conf/profile, each a set of changes to params.yaml."""

from pipeline.core import paths
from pipeline.core.errors import UserError
from pipeline.core.files import read_yaml


def laid_over(values: dict, profile: str) -> dict:
    """`values`, as params.yaml has them, with the changes of a profile, as `dvc exp run -S profile=NAME` makes them.

    Changes to an architecture that `values` does not have are left out; the outcome is not checked. Raises UserError if
    there is no such profile, or it changes anything else that `values` does not have.
    """
    path = paths.PROFILES / f"{profile}.yaml"
    if not path.is_file():
        known = ", ".join(sorted(file.stem for file in paths.PROFILES.glob("*.yaml")))
        raise UserError(f"{path} is missing; the profiles are {known}")
    changes = read_yaml(path)
    models = {name: entry for name, entry in changes.get("models", {}).items() if name in values["models"]}
    return _merged(values, changes | {"models": models}, str(path))


def _merged(values: dict, changes: dict, where: str) -> dict:
    both = dict(values)
    for key, change in changes.items():
        if key not in values:
            raise UserError(f"{where}: {key} is not in params.yaml")
        nested = isinstance(change, dict) and isinstance(values[key], dict)
        both[key] = _merged(values[key], change, f"{where}: {key}") if nested else change
    return both
