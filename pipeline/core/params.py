"""Strict, frozen view of params.yaml: an unknown key, a wrong type or a value out of range stops before any work."""

import importlib
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from ruamel.yaml.error import YAMLError

from pipeline.core import paths
from pipeline.core.errors import UserError
from pipeline.core.files import list_files, read_yaml
from pipeline.core.schema import Model, Params, Section

MODULES = Path(__file__).parents[1] / "models"


def architectures() -> list[str]:
    """Names of the modules in pipeline/models: the networks that params.yaml may list."""
    return sorted(path.stem for path in list_files(MODULES, "*.py") if path.stem != "__init__")


def load(path: Path = paths.PARAMS) -> Params:
    """Read and check the whole of params.yaml. Raises UserError if the file cannot be read, or as `checked`."""
    try:
        return checked(read_yaml(path), path)
    except FileNotFoundError:
        raise UserError(f"{path} not found: run from the repository's root") from None
    except IsADirectoryError:
        raise UserError(f"{path} is a folder: the file of that name holds the params") from None
    except UnicodeDecodeError:
        raise UserError(f"{path} is not text in UTF-8: save it as such") from None
    except RecursionError:
        raise UserError(f"{path} is nested too deeply: correct it") from None
    except (YAMLError, ValueError) as error:  # ValueError: a date or a number that is none
        raise UserError(f"{path} is not valid YAML: {error}") from None


def checked(values: Any, path: Path) -> Params:
    """Check what `path` holds.

    Raises UserError, naming the first wrong key, if a key is missing, unknown or mistyped, a value has the wrong type
    or is out of range, or an architecture has no module, or one of the other kind.
    """
    try:
        params = Params.model_validate(values)
    except ValidationError as error:
        raise UserError(f"{path}: {_describe(error, values)}") from None
    for name, model in params.models.items():
        _check_module(name, model, path)
    return params


def _check_module(name: str, model: Model, path: Path) -> None:
    """Raise UserError unless there is a module of that name, for that method and that network."""
    file = f"pipeline/{MODULES.name}/{name}.py"
    if name not in architectures():
        raise UserError(f"{path}: models.{name}: unknown: add {file}, or name one of {', '.join(architectures())}")
    module = importlib.import_module(f"pipeline.{MODULES.name}.{name}")  # which imports Keras when it builds
    if not hasattr(module, "build" if model.method == "scratch" else "backbone"):
        fitting = "scratch" if hasattr(module, "build") else "transfer, or finetune"
        raise UserError(f"{path}: models.{name}.method: {file} is not for {model.method}: give {fitting}")
    if model.method == "scratch":
        try:
            getattr(module, "Network", Section).model_validate(model.network)  # a Section has no keys
        except ValidationError as error:
            raise UserError(f"{path}: models.{name}.network.{_describe(error, model.network)}") from None


def _describe(error: ValidationError, values: Any) -> str:
    # A mistyped key is also a missing one: the typo says more.
    first = min(error.errors(), key=lambda found: found["type"] != "extra_forbidden")
    key = ".".join(_keys(first["loc"], values, first["type"] == "missing")) or "the file"
    if first["type"] == "extra_forbidden":
        return f"{key}: unknown key; correct or remove it"
    if first["type"] == "missing":
        return f"{key}: missing; add it"
    return f"{key}: {first['msg']} (got {first['input']!r:.80})"


def _keys(location: tuple[int | str, ...], values: Any, missing: bool) -> list[str]:
    """Return the keys in `location`, without the method or type that pydantic puts between them."""
    keys = []
    for part in location[:-1] if missing else location:
        try:
            values = values[part]
        except (LookupError, TypeError):
            continue
        keys.append(str(part))
    return [*keys, str(location[-1])] if missing else keys
