"""What the folder of a logged model makes MLflow load and run: Keras' file by MLflow's own loader, and no code."""

from pathlib import Path
from typing import Any

from ruamel.yaml.error import YAMLError

from pipeline.core.files import read_yaml
from pipeline.tracking import logged_models

DATA = Path(logged_models.KERAS).parent
# Where its content is imported or run, or chooses what is.
TOLD = {f"{DATA}/keras_module.txt": "tensorflow.keras", f"{DATA}/save_format.txt": "tf"}
ENVIRONMENT = {"MLmodel", "conda.yaml", "python_env.yaml", "requirements.txt"}
EXAMPLE = {"input_example.json", "serving_input_example.json"}
FILES = {logged_models.KERAS, *TOLD, *ENVIRONMENT, *EXAMPLE}


def fault(folder: Path) -> str | None:
    """What else than that the folder would have MLflow do; None: nothing."""
    names = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir()}
    if others := sorted(names - FILES):
        return f"it has a file that MLflow did not log there: {others[0]}"
    for name, content in TOLD.items():
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
