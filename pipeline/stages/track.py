"""Stage `track@ARCH`, and of the ensemble: draws a candidate, and brings MLflow into line with what its files say."""

from pathlib import Path

from pipeline.core import candidates, environment, paths
from pipeline.core.files import fresh_folder, write_json
from pipeline.data import splits


def main() -> None:
    name, params = environment.check_model(ensemble=True)
    folder = fresh_folder(paths.EVALUATION / name)
    facts = candidates.facts(name)
    if facts["status"] == "skipped":
        (folder / "skipped.txt").write_text(f"{facts['reason']}\n")
        write_json(paths.RUNS / f"{name}.json", {"skipped": facts["reason"]})
        print(f"{name}: skipped: {facts['reason']}")
        return
    draw(name, folder)
    from pipeline.tracking import store, upload, view  # MLflow takes seconds to import

    experiment = store.connect(params)
    expected = view.of(name)
    run = upload.upload(expected, experiment)
    write_json(paths.RUNS / f"{name}.json", {"stage": expected.stage, "fingerprint": expected.fingerprint})
    print(f"{name}: run {run.info.run_id}")


def draw(name: str, folder: Path) -> None:
    """Draw a candidate's pictures out of the tables that stage `evaluate` or `ensemble` wrote, and its history."""
    from pipeline.reporting import charts, montage, render, tables

    render.write(charts.confusion(tables.read(name, "counts"), name), folder / "confusion.png")
    render.write(charts.reliability(tables.read(name, "reliability"), name), folder / "reliability.png")
    if name != "ensemble":
        for column in ("accuracy", "loss"):
            render.write(charts.curves(tables.history(name), column), folder / f"{column}.png")
    montage.mistakes(folder / "mistakes.png", splits.images(paths.TEST), tables.read(name, "mistakes"))
