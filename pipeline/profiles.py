"""Profiles: files of conf/profile, each a set of changes to params.yaml."""

from pipeline import paths
from pipeline.errors import UserError
from pipeline.files import read_yaml


def laid_over(values: dict, profile: str) -> dict:
    """`values`, as params.yaml has them, with the changes of a profile, as `dvc exp run -S profile=NAME` makes them.

    Changes to what `values` does not have are left out; the outcome is not checked. Raises UserError if there is no
    such profile.
    """
    path = paths.PROFILES / f"{profile}.yaml"
    if not path.is_file():
        known = ", ".join(sorted(file.stem for file in paths.PROFILES.glob("*.yaml")))
        raise UserError(f"{path} is missing; the profiles are {known}")
    return _merged(values, read_yaml(path))


def _merged(values: dict, changes: dict) -> dict:
    both = dict(values)
    for key in values.keys() & changes.keys():
        both[key] = _merged(values[key], changes[key]) if isinstance(changes[key], dict) else changes[key]
    return both
