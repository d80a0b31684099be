"""Stage `trunk@ARCH`: the frozen trunk's activations of the train and the validation images, computed once."""

import numpy as np

from pipeline import cifar10, errors, manifest, paths, preflight
from pipeline.files import fresh_folder, write_json
from pipeline.params import Params


def main() -> None:
    name, params = preflight.check_model()
    entry = manifest.read(name)
    folder = fresh_folder(paths.TRUNKS / name)
    if entry["status"] != "ready":
        reason = entry.get("reason") or entry["origin"]
        write_json(folder / "trunk.json", {"cached": False, "reason": reason})
        print(f"{name}: no trunk: {reason}")
        return
    compute(name, params)


def compute(name: str, params: Params) -> None:
    from pipeline import device
    from pipeline.trunk import cache, load_backbone, split, trunk

    train, _ = cifar10.load(paths.TRAIN)
    validation, _ = cifar10.load(paths.VALIDATION)
    device.prepare(params.compute, scratch=False, seed=params.seed)
    settings = params.models[name].trunk
    lower, _ = split(load_backbone(name, params), settings.cut)
    frozen = trunk(lower)
    folder = paths.TRUNKS / name
    images = settings.views * len(train) + len(validation)
    errors.require_space(folder, images * int(np.prod(frozen.output_shape[1:])) * 2)
    cache(frozen, views_of(train, settings.views, params.seed), folder / "train.npy")
    cache(frozen, [validation], folder / "validation.npy")
    write_json(folder / "trunk.json", {"cached": True, "activation": frozen.output_shape[1:]})


def views_of(images: np.ndarray, views: int, seed: int) -> list[np.ndarray]:
    """The images and their mirror images (2 views), or of each image one of the two at random (1 view)."""
    mirrored = images[:, :, ::-1]
    if views == 2:
        return [images, mirrored]
    chosen = np.random.default_rng(seed).random(len(images)) < 0.5
    return [np.where(chosen[:, None, None, None], mirrored, images)]


if __name__ == "__main__":
    errors.run(main)
