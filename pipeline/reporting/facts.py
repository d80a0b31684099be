"""What files say of a candidate: the facts of its model card."""

from dataclasses import dataclass

from pipeline.core import paths
from pipeline.core.files import read_json


@dataclass(frozen=True)
class Facts:
    name: str  # of an architecture, or `ensemble`
    address: str  # by which MLflow loads it, models:/...
    scores: dict  # metrics/NAME.json
    receipt: dict  # the candidate's run.json
    members: dict[str, dict]  # receipts of the networks in it: of itself, if it is no ensemble
    weights: dict[str, float]  # of the members; they sum to 1
    spent: dict[str, dict]  # what the evaluation of each member has cost, and the vote itself
    data: dict  # reports/data.json
    decision: dict | None  # the gate's, if it was asked
    exports: list[dict]  # rows of reports/exports.json


def collect(name: str, address: str, decision: dict | None = None, exports: list[dict] | None = None) -> Facts:
    """Read the facts of a trained candidate. Of `exports`, its own rows count."""
    receipt = read_json(paths.candidate(name) / "run.json")
    weights = read_json(paths.VOTE)["weights"] if name == "ensemble" else {name: 1.0}
    metrics = {known: read_json(paths.METRICS / f"{known}.json") for known in {**weights, name: 1.0}}
    return Facts(
        name=name,
        address=address,
        scores=metrics[name],
        receipt=receipt,
        members={member: read_json(paths.candidate(member) / "run.json") for member in weights},
        weights=weights,
        spent={known: figures["spent"] for known, figures in metrics.items()},
        data=read_json(paths.REPORTS / "data.json"),
        decision=decision,
        exports=[row for row in exports or [] if row["candidate"] == name],
    )
