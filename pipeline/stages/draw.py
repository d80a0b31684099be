"""Stage `draw@ARCH`, and of the ensemble: a candidate's pictures, out of the tables that stage `evaluate` wrote."""

from pipeline.core import candidates, environment, errors, paths
from pipeline.core.files import fresh_folder
from pipeline.data import splits


def main() -> None:
    name, _ = environment.check_candidate(store=False)
    folder = fresh_folder(paths.EVALUATION / name)
    facts = candidates.facts(name)
    if facts["status"] == "skipped":
        (folder / "skipped.txt").write_text(f"{facts['reason']}\n")
        print(f"{name}: skipped: {facts['reason']}")
        return
    from pipeline.reporting import charts, montage, render, tables

    render.write(charts.confusion(tables.counts(name), name), folder / "confusion.png")
    render.write(charts.reliability(tables.reliability(name), name), folder / "reliability.png")
    if name != "ensemble":
        for column in ("accuracy", "loss"):
            render.write(charts.curves(tables.history(name), column), folder / f"{column}.png")
    montage.mistakes(folder / "mistakes.png", splits.images(paths.TEST), tables.mistakes(name))
    print(f"{folder}: {', '.join(sorted(path.name for path in folder.iterdir()))}")


if __name__ == "__main__":
    errors.run(main)
