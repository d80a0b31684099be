"""The custom CNN against a network of the same widths in PyTorch: airbench94's layout (arXiv:2404.00498), on the CPU.

What is compared are recipes as well as libraries: PyTorch has airbench94's GELU, ours has ReLU, and small pictures in
the first half of its epochs. Images, widths, epochs, batch size, number format, augmentation, optimizer and its
settings are the same; neither averages weights. Validation is on one view of an image, after each epoch. Each has a
process of its own; seconds count from when its libraries are imported.
"""

from benchmarks import common, race
from pipeline.core import errors, paths

EPOCHS = 10  # of either, airbench94 having 9.9
THRESHOLDS = (0.88, 0.91)


def main() -> list[dict]:
    """Write scratch.csv, a row an epoch of either; return the ratios."""
    common.require(paths.TRAIN, paths.VALIDATION)
    rows = race.run("scratch", ("ours", "pytorch"))
    common.write("scratch", rows)
    return [
        {
            "figure": f"seconds to {threshold:.0%} validation accuracy: ours over PyTorch's",
            "first": race.seconds_to(threshold, "ours", rows),
            "second": race.seconds_to(threshold, "pytorch", rows),
        }
        for threshold in THRESHOLDS
    ]


def ours(stopwatch: race.Stopwatch) -> None:
    from pipeline.core import params
    from pipeline.core.files import read_yaml
    from pipeline.training import fit, methods

    values = read_yaml(paths.PARAMS)
    values["models"]["custom_cnn"]["training"] |= {"epochs": EPOCHS, "patience": EPOCHS}
    checked = params.checked(values, paths.PARAMS)
    settings = checked.models["custom_cnn"]
    used = methods.prepare("custom_cnn", checked)
    stopwatch.start()
    task = methods.task("custom_cnn", checked)
    fit.fit(task, settings.training, used, lambda row: stopwatch.lap(row["val_accuracy"]))


def pytorch(stopwatch: race.Stopwatch) -> None:
    import numpy as np
    import torch
    from torch.nn import functional

    from pipeline.core import params
    from pipeline.data import splits
    from pipeline.models import custom_cnn
    from pipeline.training import methods
    from pipeline.training.augmentation import draw, sources

    checked = params.load()
    model = checked.models["custom_cnn"]
    settings = model.training
    bfloat16 = methods.prepare("custom_cnn", checked).precision == "mixed_bfloat16"
    torch.set_num_threads(common.cores())
    torch.manual_seed(checked.seed)
    stopwatch.start()
    images, labels = splits.load(paths.TRAIN)
    validation, validation_labels = splits.load(paths.VALIDATION)

    whiten = torch.nn.Conv2d(3, 24, 2, bias=False).requires_grad_(False)
    whiten.weight.data = torch.from_numpy(custom_cnn.whitening(images).transpose(3, 2, 0, 1).copy())
    layers, width = [whiten, torch.nn.GELU()], 24
    for channels in model.network["widths"]:
        for pool in (True, False):
            convolution = torch.nn.Conv2d(width, channels, 3, padding=1, bias=False)
            torch.nn.init.dirac_(convolution.weight.data[: min(width, channels)])
            normalisation = torch.nn.BatchNorm2d(channels, momentum=0.2)
            normalisation.weight.requires_grad_(False)
            layers += [convolution, *([torch.nn.MaxPool2d(2)] if pool else []), normalisation, torch.nn.GELU()]
            width = channels
    layers += [torch.nn.AdaptiveMaxPool2d(1), torch.nn.Flatten(), torch.nn.Linear(width, 10, bias=False)]
    network = torch.nn.Sequential(*layers).to(memory_format=torch.channels_last)

    trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
    biases = [parameter for parameter in trained if parameter.ndim == 1]
    weights = [parameter for parameter in trained if parameter.ndim > 1]
    # Decay inside the gradient, as airbench has it, adds up over the momentum: hence (1 - momentum).
    decay = settings.weight_decay * (1 - settings.momentum)
    groups = [
        {"params": weights, "factor": 1.0, "weight_decay": decay},
        {"params": biases, "factor": settings.bias_factor, "weight_decay": 0.0},
    ]
    optimizer = torch.optim.SGD(groups, lr=0.1, momentum=settings.momentum, nesterov=True)
    steps_an_epoch = len(images) // settings.batch_size
    steps = EPOCHS * steps_an_epoch
    mean, deviation = (
        torch.tensor(each, dtype=torch.float32) for each in (custom_cnn.PIXEL_MEAN, custom_cnn.PIXEL_STD)
    )
    images, validation = torch.from_numpy(np.array(images)), torch.from_numpy(np.array(validation))
    labels = torch.from_numpy(labels.astype("int64"))

    def logits(pictures: torch.Tensor) -> torch.Tensor:
        scaled = ((pictures - mean) / deviation).permute(0, 3, 1, 2)  # channels_last in memory, without a copy
        with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
            return network(scaled).float() * custom_cnn.LOGIT_SCALE

    step, shown = 0, torch.from_numpy(sources(settings.shift))
    for epoch in range(EPOCHS):
        network.train()
        mirrored, offsets = (
            torch.from_numpy(found) for found in draw(len(images), settings.shift, checked.seed, epoch)
        )
        order = torch.randperm(len(images))
        for start in range(0, steps_an_epoch * settings.batch_size, settings.batch_size):
            chosen = order[start : start + settings.batch_size]
            down, across = offsets[:, chosen]
            rows, columns = shown[0, down][:, :, None], shown[mirrored[chosen], across][:, None, :]
            done = step / steps
            rise = settings.start + (1 - settings.start) * done / settings.peak_at
            fall = 1 + (settings.end - 1) * (done - settings.peak_at) / (1 - settings.peak_at)
            for group in optimizer.param_groups:
                group["lr"] = settings.learning_rate * group["factor"] * (rise if done < settings.peak_at else fall)
            loss = functional.cross_entropy(
                logits(images[chosen[:, None, None], rows, columns]),
                labels[chosen],
                label_smoothing=settings.label_smoothing,
            )
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            step += 1
        network.eval()
        with torch.no_grad():
            found = torch.cat([logits(part).argmax(1) for part in validation.split(500)])
        stopwatch.lap(float((found.numpy() == validation_labels).mean()))


if __name__ == "__main__":
    errors.run(lambda: race.contender({"ours": ours, "pytorch": pytorch}))
