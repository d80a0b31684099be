"""Stage `trunk@ARCH`: the frozen trunk's activations of the train and the validation images, computed once."""

import time
from collections.abc import Iterator
from typing import Any

import numpy as np

from pipeline.core import environment, errors, paths, process
from pipeline.core.files import checksum, fresh_folder, write_json
from pipeline.core.schema import Params, TransferNetwork
from pipeline.data import manifest, splits


def main() -> None:
    name, params = environment.check_model()
    entry = manifest.read(name)
    folder = fresh_folder(paths.TRUNKS / name)
    reason = entry.get("reason") or entry["origin"] if entry["status"] != "ready" else None
    settings = params.models[name]
    if not reason and settings.method == "finetune":
        reason = "all layers are trained"
    if reason or settings.method != "transfer":
        write_json(folder / "trunk.json", {"cached": False, "reason": reason})
        write_json(paths.RECORDS / "trunk" / f"{name}.json", {"skipped": reason})
        print(f"{name}: no trunk: {reason}")
        return
    compute(name, settings.network, params)


def compute(name: str, settings: TransferNetwork, params: Params) -> None:
    """Compute and write the activations of an architecture's trunk, and the record of what that cost."""
    from pipeline.training import device
    from pipeline.training.trunk import cache, load_backbone, split, trunk

    train, _ = splits.load(paths.TRAIN)
    validation, _ = splits.load(paths.VALIDATION)
    used = device.prepare(params.compute, device.TILES, params.seed)
    lower, _ = split(load_backbone(name, settings.resolution), settings.cut)
    frozen = trunk(lower)
    folder = paths.TRUNKS / name
    images = settings.views * len(train) + len(validation)
    errors.require_space(folder, images * int(np.prod(frozen.output_shape[1:])) * 2)
    began = time.perf_counter()
    views = views_of(train, settings.views, settings.shift, params.seed)
    cache(frozen, views, (settings.views, len(train)), folder / "train.npy")
    cache(frozen, [validation], (1, len(validation)), folder / "validation.npy")
    record: dict[str, Any] = {"started": process.began(), "device": used.name, "precision": used.precision}
    record |= {"versions": process.versions(), "seconds": time.perf_counter() - began} | process.spent()
    write_json(paths.RECORDS / "trunk" / f"{name}.json", record)
    digests = {path.name: checksum(path) for path in sorted(folder.glob("*.npy"))}
    write_json(folder / "trunk.json", {"cached": True, "activation": frozen.output_shape[1:], "sha256": digests})


def views_of(images: np.ndarray, views: int, shift: int, seed: int) -> Iterator[np.ndarray]:
    """Views of the images, uint8 (N, 32, 32, 3) as they are: in each, what `augmentation.draw` does in one epoch."""
    from pipeline.training.augmentation import draw, sources

    shown, number = sources(shift), np.arange(len(images))[:, None, None]
    for view in range(views):
        mirrored, (down, across) = draw(len(images), shift, seed, view)
        yield images[number, shown[0, down][:, :, None], shown[mirrored, across][:, None, :]]
