"""Stage `duplicates`: test images that are nearly the same as one to train on or to choose by. It reads no labels."""

import numpy as np

from pipeline.core import environment, paths
from pipeline.core.files import replacing, write_json
from pipeline.core.progress import Progress
from pipeline.data import duplicates, splits


def main() -> None:
    params = environment.check()
    known = {folder.name: splits.images(folder) for folder in (paths.TRAIN, paths.VALIDATION)}
    test, others = splits.images(paths.TEST), np.concatenate(list(known.values()))
    with Progress("duplicates", 2 * len(test), "image") as progress:
        pairs = duplicates.find(test, others, params.duplicates, progress.update)

    best = pairs.drop_duplicates("image")  # of each test image the pair that is most alike
    first = len(known["train"])
    pairs.insert(1, "split", np.where(pairs["other"] < first, "train", "validation"))
    pairs["other"] -= np.where(pairs["other"] < first, 0, first)
    with replacing(paths.DUPLICATES) as temporary:
        pairs.to_csv(temporary, index=False, float_format="%.4f")
    counts = {"test_images": len(test), "with_a_near_duplicate": len(best)}
    counts |= {f"in_{name}": pairs.loc[pairs["split"] == name, "image"].nunique() for name in known}
    write_json(paths.DUPLICATES.with_suffix(".json"), counts)
    print(f"{len(best)} of {len(test)} test images have a near-duplicate among {len(others)} others")
