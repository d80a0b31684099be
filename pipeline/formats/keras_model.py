"""Keras models: written canonically, so that the same weights are the same file, and loaded without trusting it."""

import json
import zipfile
from pathlib import Path
from typing import Any

import keras

from pipeline.core.files import replacing
from pipeline.formats import keras_archive
from pipeline.formats.keras_archive import CONFIG, METADATA, SHARED, WEIGHTS

DATE = (1980, 1, 1, 0, 0, 0)  # of each member: the first that a zip archive can have


def save(model: keras.Model, path: Path) -> None:
    """Write a model as a .keras file whose bytes depend on its configuration, weights and Keras' version only.

    Keras writes the time, and the addresses of objects as marks of which ones are shared: these become fixed.
    """
    numbers: dict[int, int] = {}

    def numbered(item: dict[str, Any]) -> dict[str, Any]:
        if SHARED in item:
            item[SHARED] = numbers.setdefault(item[SHARED], len(numbers))
        return item

    with replacing(path) as temporary:
        model.save(temporary)
        with zipfile.ZipFile(temporary) as archive:
            metadata, config, weights = (archive.read(name) for name in (METADATA, CONFIG, WEIGHTS))
        with zipfile.ZipFile(temporary, "w") as archive:
            dated = json.loads(metadata) | {"date_saved": "1980-01-01@00:00:00"}
            archive.writestr(zipfile.ZipInfo(METADATA, DATE), json.dumps(dated))
            archive.writestr(zipfile.ZipInfo(CONFIG, DATE), json.dumps(json.loads(config, object_hook=numbered)))
            archive.writestr(zipfile.ZipInfo(WEIGHTS, DATE), weights)


def load(path: Path) -> keras.Model:
    """Return the model in the file; code in it is not run. Raises UserError unless stock Keras can load it."""
    keras_archive.contents(path)
    try:
        return keras.saving.load_model(path, compile=False, safe_mode=True)
    except Exception as error:  # Keras has no class for what it does not take
        if isinstance(error, OSError) and error.errno:
            raise
        raise keras_archive.refused(path, error) from None
