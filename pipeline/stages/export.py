"""Stage `export`: the best candidate and a small one as LiteRT and ONNX; what the parity gate passes is shipped."""

import os
import shutil
import tempfile
from pathlib import Path

import numpy as np

from pipeline.core import environment, errors, paths
from pipeline.core.files import fresh_folder, read_json, replacing, write_json
from pipeline.core.schema import Export, Params
from pipeline.data import splits
from pipeline.export import convert, parity, publish
from pipeline.formats import keras_file
from pipeline.registry import versions
from pipeline.reporting import facts, model_card, results
from pipeline.tracking import logged_models, provenance, runs, store

NEEDED = 500_000_000  # bytes


def main() -> None:
    os.environ["KERAS_BACKEND"] = "tensorflow"  # whose converters these are; a model that JAX trained is the same file
    params = environment.check()
    errors.require_space(paths.EXPORTS, NEEDED)
    best = read_json(paths.REGISTRY)["candidate"]
    metrics = {name: figures for name, figures in results.load().items() if "skipped" not in figures}
    small = smallest(metrics, best, params.export.margin)
    roles = {best: "best"} | {small: "best and edge" if small == best else "edge"}
    receipts = {name: read_json(paths.candidate(name) / "run.json") for name in roles}
    store.connect(params)
    parents = {name: runs.find(receipt["run_id"]) for name, receipt in receipts.items()}

    fresh_folder(paths.EXPORTS)
    rows = []
    for name, role in roles.items():
        for variant, judged, file in variants(name, params.export):
            row = {"role": role, "candidate": name, "format": variant.format, "precision": variant.precision}
            row |= {"file": ship(file, name) if judged["shipped"] else None} | judged
            row |= {"fingerprint": receipts[name]["fingerprint"]} | provenance.git()
            with versions.alone():
                rows.append(row | {"run_id": publish.log(row, parents[name].info.run_id)})
            print(f"{name}, {variant.format} {variant.precision}: {said(row)}")
    write_json(paths.EXPORTED, rows)
    for name in roles:
        text = model_card.render(facts.collect(name, logged_models.model_uri(parents[name]), exports=rows))
        with replacing(publish.card_of(name)) as temporary:
            temporary.write_text(text)
    told = name_edge(small, best, rows, metrics, receipts[small], parents[small], params)
    if told["version"] is None:
        print(f"{told['model']}: @{versions.EDGE} stays where it was: {told['reason']}")
    else:
        print(f"{told['model']} version {told['version']}, @{versions.EDGE}: {told['description']}")
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
    model = keras_file.load(folder / "model.keras")
    images, labels = splits.load(paths.VALIDATION)
    expected, first = np.load(folder / "validation.npy"), export.calibration_images
    for variant in convert.VARIANTS:
        with tempfile.TemporaryDirectory() as temporary:
            file = Path(temporary, variant.file)
            try:
                convert.convert(model, variant, file, images[:first])
                judged = parity.judge(file, images[first:], expected[first:], labels[first:], export)
            except convert.Unconverted as error:
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
    told = {"model": model, "candidate": name, "alias": versions.EDGE, "version": None}
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
    address = logged_models.model_uri(run)
    with versions.alone():
        version = publish.register(model, name, address, run.info.run_id, description, tags)
    return told | {"version": version, "model_uri": address, "description": description, "tags": tags}


if __name__ == "__main__":
    errors.run(main)
