"""What was exported, verified: the run of each export is what its row in the files says."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

from mlflow.entities import Run

from pipeline.core import paths
from pipeline.core.files import checksum, read_json
from pipeline.lineage.link import Broken, Line
from pipeline.registry import exports
from pipeline.tracking import provenance, runs, store


def verify(run: Run, depth: int = 1) -> Iterator[Line]:
    """Yield a line about the run of an export, whose settings, figures, verdict and file are those of its row.

    Raises Broken if they are not.
    """
    link, digest = f"run {run.info.run_id}", run.data.tags.get(exports.DIGEST)
    if run.info.status != runs.FINISHED:
        raise Broken(link, f"it is {run.info.status}: `dvc repro`, or `pipeline restore`")
    rows = read_json(paths.EXPORTED) if paths.EXPORTED.exists() else []
    row = next((row for row in rows if provenance.digest(row) == digest), None)
    if row is None:
        yield Line(depth, f"{paths.EXPORTED} has no such export any more: its figures are not verified")
        return
    known = {name: run.data.params.get(name) for name in exports.SETTINGS}
    known |= {name: run.data.metrics.get(name) for name in exports.figures(row)}
    known |= {"fingerprint": run.data.tags.get("fingerprint"), "shipped": run.data.tags.get("shipped") == "true"}
    for name, value in known.items():
        if row.get(name) != value:
            raise Broken(f"{link}, {name}", f"{value} in the store, {row.get(name)} in {paths.EXPORTED}")
    if row["file"]:
        file = Path(row["file"])
        with tempfile.TemporaryDirectory() as folder:
            found = store.artifact(run.info.run_id, file.name, Path(folder))
            if found is None or (file.is_file() and checksum(found) != checksum(file)):
                raise Broken(f"{link}, artifact {file.name}", f"it is not {file}")
    yield Line(depth, f"as in {paths.EXPORTED}: {'shipped' if row['shipped'] else 'not shipped'}")
