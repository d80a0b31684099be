"""The custom CNN against the same network in PyTorch: airbench94 (arXiv:2404.00498) with its GELU, on the CPU.

Each has a process of its own. Both train on the same
images with the same widths, batch size, number format, augmentation and optimizer settings; ours has ReLU and small
pictures in its first epochs. Validation is on one view of an image, after each epoch.
"""

import subprocess
import sys
import time

from benchmarks import common
from pipeline import paths

EPOCHS = 10  # of PyTorch's, airbench94 having 9.9; ours are those of params.yaml
THRESHOLDS = (0.88, 0.91)


def main() -> list[dict]:
    """Write scratch.csv, a row an epoch of either; return the ratios."""
    rows = []
    for method in ("ours", "pytorch"):
        command = [sys.executable, "-m", "benchmarks.scratch", method]
        lines = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()
        for line in lines:
            print(line, flush=True)
            epoch, seconds, accuracy = line.split()
            row = {"method": method, "epoch": int(epoch), "seconds": float(seconds), "val_accuracy": float(accuracy)}
            rows.append(row)
    common.write("scratch", rows)

    def reached(method: str, threshold: float) -> float | None:
        times = [r["seconds"] for r in rows if r["method"] == method and r["val_accuracy"] >= threshold]
        return min(times, default=None)

    return [
        {
            "figure": f"seconds to {t:.0%} validation accuracy",
            "ours": reached("ours", t),
            "theirs": reached("pytorch", t),
        }
        for t in THRESHOLDS
    ]


def ours(say) -> None:
    from pipeline import device, params, scratch, training

    checked = params.load()
    settings = checked.models["custom_cnn"]
    used = device.prepare(checked.compute, scratch.bfloat16_flags("custom_cnn", checked), checked.seed)
    training.fit(scratch.task("custom_cnn", checked), settings.training, used, lambda row: say(row["val_accuracy"]))


def pytorch(say) -> None:
    import numpy as np
    import torch
    from torch.nn import functional

    from pipeline import cifar10, device, params, scratch
    from pipeline.architectures import custom_cnn
    from pipeline.augmentation import draw, sources
    from pipeline.batches import AugmentedImages

    checked = params.load()
    model = checked.models["custom_cnn"]
    settings = model.training.model_copy(update={"epochs": EPOCHS, "small_share": 0.0, "cutmix": 0.0})
    bfloat16 = (
        device.prepare(checked.compute, scratch.bfloat16_flags("custom_cnn", checked), checked.seed).precision
        == "mixed_bfloat16"
    )
    torch.manual_seed(checked.seed)
    images, labels = cifar10.load(paths.TRAIN)
    validation, validation_labels = cifar10.load(paths.VALIDATION)

    whiten = torch.nn.Conv2d(3, 24, 2, bias=False).requires_grad_(False)
    whiten.weight.data = torch.from_numpy(custom_cnn.whitening(images).transpose(3, 2, 0, 1).copy())
    layers, width = [whiten, torch.nn.GELU()], 24
    for channels in model.network.widths:
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
    steps = EPOCHS * len(AugmentedImages(labels, settings, 32, checked.seed, 0))
    mean, deviation = custom_cnn.PIXEL_MEAN, custom_cnn.PIXEL_STD

    def prepared(pictures: np.ndarray) -> torch.Tensor:
        scaled = ((pictures - mean) / deviation).astype("float32")
        return torch.from_numpy(scaled.transpose(0, 3, 1, 2)).contiguous(memory_format=torch.channels_last)

    def logits(pictures: np.ndarray) -> torch.Tensor:
        with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
            return network(prepared(pictures)).float() * custom_cnn.LOGIT_SCALE

    step, shown = 0, sources(settings.shift)
    for epoch in range(EPOCHS):
        network.train()
        batches = AugmentedImages(labels, settings, 32, checked.seed, epoch)
        moves = draw(len(images), settings.shift, checked.seed, epoch)
        for number in range(len(batches)):
            drawn, targets = batches[number]
            mirrored, (down, across) = (found[..., drawn["index"]] for found in moves)
            rows, columns = shown[0, down][:, :, None], shown[mirrored, across][:, None, :]
            pictures = images[drawn["index"][:, None, None], rows, columns]
            done = step / steps
            rise = settings.start + (1 - settings.start) * done / settings.peak_at
            fall = 1 + (settings.end - 1) * (done - settings.peak_at) / (1 - settings.peak_at)
            for group in optimizer.param_groups:
                group["lr"] = settings.learning_rate * group["factor"] * (rise if done < settings.peak_at else fall)
            loss = functional.cross_entropy(
                logits(pictures), torch.from_numpy(targets), label_smoothing=settings.label_smoothing
            )
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            step += 1
        network.eval()
        with torch.no_grad():
            found = [logits(validation[start : start + 500]).argmax(1) for start in range(0, len(validation), 500)]
        say(float((torch.cat(found).numpy() == validation_labels).mean()))


if __name__ == "__main__":
    began, epochs = time.perf_counter(), iter(range(1, 1000))
    said = sys.stdout
    sys.stdout = sys.stderr  # of what the training itself prints

    def say(accuracy: float) -> None:
        print(next(epochs), f"{time.perf_counter() - began:.1f}", f"{accuracy:.4f}", file=said, flush=True)

    {"ours": ours, "pytorch": pytorch}[sys.argv[1]](say)
