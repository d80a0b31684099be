"""The notebook's way with a pretrained network against ours: same images, same weights, same machine, in one run.

The notebook's, written anew: the frozen backbone is computed for every image in every epoch, and a softmax layer on its
pooled features is trained with Adam, batch size 64. Ours: stages `trunk` and `train` with the params of this project.
"""

import time

import keras

from benchmarks import common
from pipeline import cifar10, device, params, paths, training, transfer
from pipeline.stages import trunk
from pipeline.trunk import enlarged, load_backbone

NAME, EPOCHS, BATCH = "mobilenetv2", 10, 64


def main() -> list[dict]:
    """Write notebook.csv, a row an epoch of either; return the ratios."""
    with common.workspace(paths.TRAIN, paths.VALIDATION, paths.WEIGHTS / NAME):
        checked = params.load()
        rows = notebook(checked) + ours(checked)
    common.write("notebook", rows)
    theirs = [row for row in rows if row["method"] == "notebook"]
    best = max(theirs, key=lambda row: row["val_accuracy"])
    reached = [r["seconds"] for r in rows if r["method"] == "ours" and r["val_accuracy"] >= best["val_accuracy"]]
    compared = "seconds to the notebook's best validation accuracy, trunk passes included"
    return [{"figure": compared, "ours": min(reached, default=None), "theirs": best["seconds"]}]


def notebook(checked: params.Params) -> list[dict]:
    device.prepare(checked.compute.model_copy(update={"precision": "float32"}), set(), checked.seed)
    images, labels = cifar10.load(paths.TRAIN)
    resolution = checked.models[NAME].trunk.resolution
    backbone = load_backbone(NAME, checked, resolution)
    backbone.trainable = False
    pictures = keras.Input(backbone.input_shape[1:])
    features = keras.layers.GlobalAveragePooling2D()(backbone(pictures, training=False))
    network = keras.Model(pictures, keras.layers.Dense(10, activation="softmax")(features))
    model = enlarged(network, resolution)
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    rows, began = [], time.perf_counter()

    def note(epoch: int, logs: dict) -> None:
        rows.append(row("notebook", epoch + 1, time.perf_counter() - began, logs["val_accuracy"]))

    model.fit(
        images,
        labels,
        BATCH,
        epochs=EPOCHS,
        validation_data=cifar10.load(paths.VALIDATION),
        callbacks=[keras.callbacks.LambdaCallback(on_epoch_end=note)],
        verbose=2,
    )
    return rows


def ours(checked: params.Params) -> list[dict]:
    rows, began = [], time.perf_counter()

    def note(epoch: dict) -> None:
        rows.append(row("ours", epoch["epoch"], time.perf_counter() - began, epoch["val_accuracy"]))

    (paths.TRUNKS / NAME).mkdir(parents=True)
    trunk.compute(NAME, checked)
    used = device.prepare(checked.compute, transfer.bfloat16_flags(NAME, checked), checked.seed)
    training.fit(transfer.task(NAME, checked), checked.models[NAME].training, used, note)
    return rows


def row(method: str, epoch: int, seconds: float, accuracy: float) -> dict:
    return {"method": method, "epoch": epoch, "seconds": seconds, "val_accuracy": accuracy}
