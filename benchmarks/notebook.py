"""The notebook's way with a pretrained network against ours: same images, same weights, same machine, in one run.

The notebook's, written anew: the frozen backbone is computed for every image in every epoch, and a softmax layer on its
pooled features is trained with Adam, batch size 64, in Keras' default number format, float32. Ours: stages `trunk` and
`train` with the params of this project, which pick bfloat16 where the CPU is faster with it. Each has a process of its
own; seconds count from when its libraries are imported. The second ratio leaves the notebook's last half point out, for
which it needs most of its epochs.
"""

import keras

from benchmarks import common, race
from pipeline.core import errors, params, paths
from pipeline.data import splits
from pipeline.stages import trunk
from pipeline.training import device, fit, methods
from pipeline.training.trunk import enlarged, load_backbone

NAME, EPOCHS, BATCH = "mobilenetv2", 10, 64


def main() -> list[dict]:
    """Write notebook.csv, a row an epoch of either; return the ratios."""
    common.cached(NAME, params.load())
    common.require(paths.TRAIN, paths.VALIDATION, paths.WEIGHTS / NAME)
    rows = race.run("notebook", ("notebook", "ours"))
    common.write("notebook", rows)
    best = max(row["val_accuracy"] for row in rows if row["method"] == "notebook")
    thresholds = {"the notebook's best validation accuracy": best, "half a point less": best - 0.005}
    return [
        {
            "figure": f"seconds to {name}, trunk passes included: ours over the notebook's",
            "first": race.seconds_to(accuracy, "ours", rows),
            "second": race.seconds_to(accuracy, "notebook", rows),
        }
        for name, accuracy in thresholds.items()
    ]


def notebook(stopwatch: race.Stopwatch) -> None:
    checked = params.load()
    device.prepare(checked.compute.model_copy(update={"precision": "float32"}), set(), checked.seed)
    stopwatch.start()
    images, labels = splits.load(paths.TRAIN)
    resolution = checked.models[NAME].network.resolution
    backbone = load_backbone(NAME, resolution)
    backbone.trainable = False
    pictures = keras.Input(backbone.input_shape[1:])
    features = keras.layers.GlobalAveragePooling2D()(backbone(pictures, training=False))
    network = keras.Model(pictures, keras.layers.Dense(10, activation="softmax")(features))
    model = enlarged(network, resolution)
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    lap = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: stopwatch.lap(logs["val_accuracy"]))
    validation = splits.load(paths.VALIDATION)
    model.fit(images, labels, BATCH, EPOCHS, validation_data=validation, callbacks=[lap], verbose=2)


def ours(stopwatch: race.Stopwatch) -> None:
    with common.workspace(paths.TRAIN, paths.VALIDATION, paths.WEIGHTS / NAME):
        checked = params.load()
        settings = checked.models[NAME]
        (paths.TRUNKS / NAME).mkdir(parents=True)
        stopwatch.start()
        trunk.compute(NAME, settings.network, checked)
        used = methods.prepare(NAME, checked)
        task = methods.task(NAME, checked)
        fit.fit(task, settings.training, used, lambda row: stopwatch.lap(row["val_accuracy"]))


if __name__ == "__main__":
    errors.run(lambda: race.contender({"notebook": notebook, "ours": ours}))
