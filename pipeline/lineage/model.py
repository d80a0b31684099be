"""The logged model of a run: what it has MLflow load is Keras' file, which is that of the run, and no code."""

import tempfile
from pathlib import Path
from typing import Any

from mlflow.entities import Run
from ruamel.yaml.error import YAMLError

from pipeline.core.files import folder_checksum, read_yaml
from pipeline.formats import keras_archive
from pipeline.lineage import Broken
from pipeline.tracking import logged_models, runs, store

DATA = Path(logged_models.KERAS).parent
ENVIRONMENT = {"MLmodel", "conda.yaml", "python_env.yaml", "requirements.txt"}
EXAMPLE = {"input_example.json", "serving_input_example.json"}
LEFTOVERS = (".DS_Store", "._*", "[Tt]humbs.db", "[Dd]esktop.ini")  # of desktops; no other file is in place here
FILES = {logged_models.KERAS, *logged_models.LOADER, *ENVIRONMENT, *EXAMPLE}


def verify(run: Run, link: str) -> str:
    """Return the address of the run's logged model, whose files are those that were logged.

    Raises Broken if they are not, and UserError if the run has none.
    """
    address = logged_models.model_uri(run)
    with tempfile.TemporaryDirectory() as temporary:
        folder = store.fetch(Path(temporary), artifact_uri=logged_models.place(address))
        (folder / "registered_model_meta").unlink(missing_ok=True)  # MLflow adds it when it loads a registered model
        if wrong := fault(folder):
            raise Broken(f"{link}, logged model", f"{address}: {wrong}")
        fingerprint = keras_archive.fingerprint(folder / logged_models.KERAS)
        whole = folder_checksum(folder)
    if fingerprint != run.data.tags.get(runs.FINGERPRINT):
        raise Broken(f"{link}, logged model", f"the fingerprint of {address} is not that of the run's tag")
    if whole != run.data.tags.get(logged_models.FILES):
        raise Broken(f"{link}, logged model", f"the files of {address} are not those that were logged")
    return address


def fault(folder: Path) -> str | None:
    """Return why MLflow would load anything but the Keras file, or None."""
    found = [path for path in folder.rglob("*") if not path.is_dir() and not any(map(path.match, LEFTOVERS))]
    names = {path.relative_to(folder).as_posix() for path in found}
    if unknown := sorted(names - FILES):
        return f"it has a file that MLflow did not log there: {unknown[0]}"
    if logged_models.KERAS not in names:
        return f"it has no {logged_models.KERAS}"
    for name, content in logged_models.LOADER.items():
        if name in names and (folder / name).read_text(errors="replace").strip() != content:
            return f"its {name} is not {content}"
    try:
        flavors: Any = read_yaml(folder / "MLmodel")["flavors"]
        function, flavor = flavors["python_function"], flavors["tensorflow"]
        loads = (function["loader_module"], function["data"], function.get("code"), flavor["data"], flavor.get("code"))
    except (OSError, ValueError, YAMLError, KeyError, TypeError, AttributeError) as error:
        return f"its MLmodel is damaged: {' '.join(str(error).split())[:200]}"
    if loads != ("mlflow.tensorflow", str(DATA), None, str(DATA), None) or len(flavors) > 2:
        return "its MLmodel has something else loaded than Keras' file, or by something else than MLflow"
    return None
