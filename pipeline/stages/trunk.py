"""Stage `trunk@ARCH`: the frozen trunk's activations of the train images, also mirrored, and of the validation ones."""

import sys

import numpy as np

from pipeline import cifar10, errors, manifest, paths, preflight
from pipeline.files import fresh_folder, write_json
from pipeline.params import Params


def main() -> None:
    name = sys.argv[1]
    params = preflight.check()
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
    lower, _ = split(load_backbone(name, params), params.models[name].trunk.cut)
    frozen = trunk(lower)
    folder = paths.TRUNKS / name
    images = 2 * len(train) + len(validation)
    errors.require_space(folder, images * int(np.prod(frozen.output_shape[1:])) * 2)
    cache(frozen, [train, train[:, :, ::-1]], folder / "train.npy")
    cache(frozen, [validation], folder / "validation.npy")
    write_json(folder / "trunk.json", {"cached": True, "activation": frozen.output_shape[1:]})


if __name__ == "__main__":
    errors.run(main)
