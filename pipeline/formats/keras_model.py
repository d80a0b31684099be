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
SAVED = "date_saved"


def save(model: keras.Model, path: Path) -> None:
    """Write a model as a .keras file whose bytes depend on its configuration, weights and Keras' version only.

    Keras writes the time, and the addresses of objects as marks of which ones are shared: these become fixed.
    """
    with replacing(path) as temporary:
        model.save(temporary)
        with zipfile.ZipFile(temporary) as archive:
            config = json.loads(archive.read(CONFIG), object_hook=_Numbered())
            metadata = json.loads(archive.read(METADATA)) | {SAVED: "1980-01-01@00:00:00"}
            weights = archive.read(WEIGHTS)
        with zipfile.ZipFile(temporary, "w") as archive:
            members: dict[str, str | bytes] = {
                METADATA: json.dumps(metadata),
                CONFIG: json.dumps(config),
                WEIGHTS: weights,
            }
            for name, content in members.items():
                archive.writestr(zipfile.ZipInfo(name, DATE), content)


def load(path: Path) -> keras.Model:
    """Return the Keras model in the file, which is loaded in safe mode: code in it is refused, not run.

    Raises UserError if it is no Keras model, or one that needs more than stock Keras.
    """
    keras_archive.contents(path)
    try:
        return keras.saving.load_model(path, compile=False, safe_mode=True)
    except OSError as error:
        if error.errno:
            raise
        raise keras_archive.refused(path, error) from None
    except Exception as error:  # Keras has no class for what it does not take
        raise keras_archive.refused(path, error) from None


class _Numbered:
    """Numbers the marks of shared objects in the order in which they are found."""

    def __init__(self) -> None:
        self._numbers: dict[Any, int] = {}

    def __call__(self, item: dict[str, Any]) -> dict[str, Any]:
        if SHARED in item:
            item[SHARED] = self._numbers.setdefault(item[SHARED], len(self._numbers))
        return item
