"""What was exported, verified: the run of each export and the version with alias `edge` say what the files do."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

from pipeline.core import paths
from pipeline.core.files import checksum
from pipeline.export import parity, publish
from pipeline.lineage import origin
from pipeline.lineage.lock import Broken, Locked
from pipeline.lineage.origin import Line
from pipeline.registry import versions
from pipeline.tracking import logged_models, runs, store

SETTINGS = ("candidate", "format", "precision")


def verify(run, here: Locked, link: str) -> Iterator[Line]:
    """The run of an export has the settings, figures, verdict and file of its row. Raises Broken if it has not."""
    told = run.data.tags.get(runs.RESTORED, run.info.run_id)
    row = next((row for row in here.rows(paths.EXPORTED) if row.get("run_id") == told), None)
    if row is None:
        yield 1, f"{paths.EXPORTED} has no such run any more: its figures are not verified"
        return
    known = {name: run.data.params.get(name) for name in SETTINGS}
    known |= {name: run.data.metrics.get(name) for name in parity.FIGURES}
    known |= {"fingerprint": run.data.tags.get("fingerprint"), "shipped": run.data.tags.get("shipped") == "true"}
    for name, value in known.items():
        if row.get(name) != value:
            raise Broken(f"{link}, {name}", f"{value} in the store, {row.get(name)} in {paths.EXPORTED}")
    if row["file"]:
        file = Path(row["file"])
        with tempfile.TemporaryDirectory() as folder:
            found = store.artifact(run.info.run_id, file.name, Path(folder))
            digest = found and checksum(found)
        kept = here.file(file)
        if digest is None or (kept and checksum(kept) != digest):
            raise Broken(f"{link}, artifact {file.name}", f"it is not {file}")
    yield 1, f"as in {paths.EXPORTED}: {'shipped' if row['shipped'] else 'not shipped'}"
    yield from origin.files([publish.STAGE], 1, here)


def verify_edge(version, here: Locked, link: str) -> Iterator[Line]:
    """What makes a version the edge model is what its file says. Raises Broken if it is not."""
    edge = here.json(paths.EDGE)
    told = edge.get("tags", {})
    if versions.EDGE not in version.aliases or edge.get("version") is None:
        return
    if told.get(logged_models.FINGERPRINT) != version.tags.get(logged_models.FINGERPRINT):
        yield 1, f"{paths.EDGE} tells of version {edge['version']}"
        return
    for key in ("edge.reason", "edge.shipped"):
        if version.tags.get(key) != told.get(key):
            raise Broken(
                f"{link}, tag {key}",
                f"{version.tags.get(key)}, {told.get(key)} in {paths.EDGE}: `dvc repro --force --single-item "
                f"{publish.STAGE}` names it again",
            )
    yield 1, f"edge: {version.tags['edge.reason']}"
