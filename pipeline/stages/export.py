"""Stage `export`: the best candidate and a small one as LiteRT and ONNX; what the parity gate passes is shipped."""

import os
import shutil
import tempfile
from pathlib import Path

import numpy as np

from pipeline import (
    card,
    cifar10,
    errors,
    exporting,
    facts,
    lineage,
    logged,
    model_file,
    parity,
    paths,
    preflight,
    registry,
    results,
    runs,
    shipping,
    tracking,
    versions,
)
from pipeline.files import fresh_folder, read_json, replacing, write_json
from pipeline.schema import Export, Params

NEEDED = 500_000_000  # bytes


def main() -> None:
    os.environ["KERAS_BACKEND"] = "tensorflow"  # whose converters these are; a model that JAX trained is the same file
    params = preflight.check()
    errors.require_space(paths.EXPORTS, NEEDED)
    best = read_json(paths.REGISTRY)["candidate"]
    metrics = {name: figures for name, figures in results.load().items() if "skipped" not in figures}
    small = smallest(metrics, best, params.export.margin)
    roles = {best: "best"} | {small: "best and edge" if small == best else "edge"}
    receipts = {name: read_json(paths.candidate(name) / "run.json") for name in roles}
    tracking.connect(params)
    parents = {name: runs.find(receipt["run_id"]) for name, receipt in receipts.items()}

    fresh_folder(paths.EXPORTS)
    rows = []
    for name, role in roles.items():
        for variant, judged, file in variants(name, params.export):
            row = {"role": role, "candidate": name, "format": variant.format, "precision": variant.precision}
            row |= {"file": ship(file, name) if judged["shipped"] else None} | judged
            row |= {"fingerprint": receipts[name]["fingerprint"]} | lineage.git()
            with registry.alone():
                rows.append(row | {"run_id": shipping.log(row, parents[name].info.run_id)})
            print(f"{name}, {variant.format} {variant.precision}: {said(row)}")
    write_json(paths.EXPORTED, rows)
    for name in roles:
        text = card.render(facts.collect(name, logged.model_uri(parents[name]), exports=rows))
        with replacing(shipping.card_of(name)) as temporary:
            temporary.write_text(text)
    told = name_edge(small, best, rows, metrics, receipts[small], parents[small], params)
    if told["version"] is None:
        print(f"{told['model']}: @{registry.EDGE} stays where it was: {told['reason']}")
    else:
        print(f"{told['model']} version {told['version']}, @{registry.EDGE}: {told['description']}")
    write_json(paths.EDGE, told)


def smallest(metrics: dict[str, dict], best: str, margin: float) -> str:
    """The candidate with the smallest model file, of those whose validation accuracy is at most `margin` below the
    best one's.
    """
    accuracies = {name: figures["validation"]["accuracy"] for name, figures in metrics.items()}
    near = [name for name in metrics if round(accuracies[best] - accuracies[name], 9) <= margin]
    return min(near, key=lambda name: metrics[name]["cost"]["size_mb"])


def variants(name: str, export: Export):
    """Convert a candidate's model into each variant; yield the variant, what `parity.judge` says, and the file.

    The file is taken away afterwards. The validation images after those that calibrate are what it is judged by.
    """
    folder = paths.candidate(name)
    model = model_file.load(folder / "model.keras")
    images, labels = cifar10.load(paths.VALIDATION)
    expected, first = np.load(folder / "validation.npy"), export.calibration_images
    for variant in exporting.VARIANTS:
        with tempfile.TemporaryDirectory() as temporary:
            file = Path(temporary, variant.file)
            try:
                exporting.convert(model, variant, file, images[:first])
                judged = parity.judge(file, images[first:], expected[first:], labels[first:], export)
            except exporting.Unconverted as error:
                judged = parity.unmeasured(f"the converter refuses it: {error}")
            yield variant, judged, file


def ship(file: Path, name: str) -> str:
    """Copy a file to where shipped ones are; return its path there."""
    path = paths.EXPORTS / name / file.name
    with replacing(path) as temporary:
        shutil.copyfile(file, temporary)
    return str(path)


def said(row: dict) -> str:
    """A row's figures and the verdict."""
    verdict = "shipped" if row["shipped"] else f"not shipped: {'; '.join(row['reasons'])}"
    if row["agreement"] is None:
        return verdict
    return (
        f"{row['size_mb']:.2f} MB, agreement {row['agreement']:.2%}, accuracy drop {row['accuracy_drop']:.2%} "
        f"({row['drop_low']:.2%} to {row['drop_high']:.2%}), {row['latency_ms_1_thread']:.1f} ms an image with a "
        f"thread, {row['latency_ms_2_threads']:.1f} with two; {verdict}"
    )


def name_edge(
    name: str, best: str, rows: list[dict], metrics: dict[str, dict], receipt: dict, run, params: Params
) -> dict:
    """Give the edge model the alias, if any variant of it was shipped; return what paths.EDGE is to hold."""
    model, metric = params.registry.model, params.registry.metric
    told = {"model": model, "candidate": name, "alias": registry.EDGE, "version": None}
    shipped = [row for row in rows if row["candidate"] == name and row["shipped"]]
    if not shipped:
        return told | {"reason": f"no variant of {name} is within the limits"}
    figures, top = metrics[name], metrics[best]["validation"]["accuracy"]
    accuracy, test = figures["validation"]["accuracy"], figures["test"]
    reason = (
        f"smallest model file ({figures['cost']['size_mb']:.1f} MB) of those within {params.export.margin:g} of the "
        f"best one's validation accuracy: {accuracy:.4f}, best {top:.4f}"
    )
    files = ", ".join(f"{row['format']} {row['precision']}" for row in shipped)
    description = (
        f"{name}: {reason}; shipped as {files}. Test accuracy {test['accuracy']:.4f}, 95 % interval "
        f"{test['accuracy_low']:.4f} to {test['accuracy_high']:.4f}, which decided nothing."
    )
    tags = versions.tags(name, run.info.run_id, receipt, figures, metric)
    tags |= {"edge.reason": reason, "edge.shipped": files}
    address = logged.model_uri(run)
    with registry.alone():
        version = shipping.register(model, name, address, run.info.run_id, description, tags)
    return told | {"version": version, "model_uri": address, "description": description, "tags": tags}


if __name__ == "__main__":
    errors.run(main)
