"""What was exported, verified: the run of each export and the version with alias `edge` say what the files do."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

from pipeline import parity, paths, registry, runs, tracking
from pipeline.files import checksum
from pipeline.locked import Broken, Locked

SETTINGS = ("candidate", "format", "precision")


def verify(run, here: Locked, link: str) -> Iterator[str]:
    """The run of an export has the settings, figures, verdict and file of its row; raises Broken if not."""
    told = run.data.tags.get(runs.RESTORED, run.info.run_id)
    rows = [row for row in here.rows(paths.EXPORTED) if row.get("run_id") == told]
    if not rows:
        yield f"{paths.EXPORTED} has no such run any more: its figures are not verified"
        return
    (row,) = rows
    known = {name: run.data.params.get(name) for name in SETTINGS}
    known |= {name: run.data.metrics.get(name) for name in parity.FIGURES}
    known |= {"fingerprint": run.data.tags.get("fingerprint"), "shipped": run.data.tags.get("shipped") == "true"}
    for name, value in known.items():
        if row.get(name) != value:
            raise Broken(f"{link}, {name}", f"{value} in the store, {row.get(name)} in {paths.EXPORTED}")
    if row["file"]:
        file = Path(row["file"])
        with tempfile.TemporaryDirectory() as folder:
            found = tracking.artifact(run.info.run_id, file.name, Path(folder))
            digest = found and checksum(found)
        kept = here.file(file)
        if digest is None or (kept and checksum(kept) != digest):
            raise Broken(f"{link}, artifact {file.name}", f"it is not {file}")
    yield f"as in {paths.EXPORTED}: {'shipped' if row['shipped'] else 'not shipped'}"


def verify_edge(version, here: Locked, link: str) -> Iterator[str]:
    """What makes a version the edge model is what its file says."""
    edge = here.json(paths.EDGE)
    if registry.EDGE not in version.aliases or not edge.get("version"):
        return
    for key in ("edge.reason", "edge.shipped"):
        value = edge["tags"].get(key) if edge.get("candidate") == version.tags.get("candidate") else None
        if version.tags.get(key) != value:
            raise Broken(f"{link}, tag {key}", f"{version.tags.get(key)}, {value} in {paths.EDGE}")
    yield f"edge: {version.tags['edge.reason']}"
