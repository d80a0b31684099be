"""A candidate's model card, after Hugging Face's template and metadata; and the description of a registered version.

Facts come from files only; templates/model_card.md has all the prose.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from pipeline.core import candidates, paths
from pipeline.core.files import read_json, read_yaml
from pipeline.reporting import catalog, tables, template

LONGEST = 5_000  # characters of a version's description: MLflow's column has no more
# What a description does without, first to last, if the card is too long for it; then come the others, from the end.
SPARED = ("Training Details", "Citation", "Technical Specifications", "Environmental Impact")


def render(
    name: str, address: str, decision: dict[str, Any] | None = None, exports: Sequence[dict[str, Any]] = ()
) -> str:
    """Return the card of a trained candidate in GitHub's Markdown, after a front matter in YAML that the Hub reads.

    `address`: by which MLflow loads the model, models:/... `decision`: the gate's, if it was asked. `exports`: rows of
    reports/exports.json, of which the candidate's own count.
    """
    own = [row for row in exports if row["candidate"] == name]
    values = collect(name) | {"name": name, "address": address, "decision": decision, "exports": own}
    return template.fill("model_card.md", values, percent=percent, cell=cell) + "\n"


def percent(value: float) -> str:
    """Return a fraction in per cent, two digits, without the sign."""
    return f"{value * 100:.2f}"


def cell(text: object) -> str:
    """Return a text as a table's cell: one line, no bar."""
    return " ".join(str(text).split()).replace("|", "\\|")


def collect(name: str) -> dict[str, Any]:
    """Return what the files have of a trained candidate, by the names that the template gives it.

    Raises UserError if a file is damaged, FileNotFoundError if one is missing.
    """
    weights = read_json(paths.VOTE, "weights")["weights"] if name == "ensemble" else {name: 1.0}
    stages = read_yaml(Path("dvc.lock"))["stages"]
    stage = stages[paths.stage(name)]
    members = {member: network(member, stages[paths.stage(member)]) for member in weights}
    recalls = tables.read(name, "report").dropna(subset="recall_low")  # of classes that have test images
    return {
        "facts": candidates.facts(name),
        "weights": weights,
        "members": members,
        "pretrained": {
            key: of["weights"]["origin"] for key, of in members.items() if of["weights"]["status"] == "ready"
        },
        "hyperparameters": list(dict.fromkeys(key for of in members.values() for key in of["params"])),
        "scores": candidates.metrics()[name],
        "splits": catalog.SPLITS,
        "columns": catalog.shown(catalog.CARD, "test"),
        "costs": catalog.shown(catalog.CARD, "cost"),
        "commits": list(dict.fromkeys(of["record"]["git.commit"] for of in members.values())),
        "hub": [metric for metric in catalog.METRICS if metric.hub],
        "recalls": recalls.to_dict("records"),
        "images": tables.split_sizes(),
        "spent": {key: read_json(paths.RECORDS / "evaluate" / f"{key}.json")["spent"] for key in {**weights, name: 1}},
        "stage": paths.stage(name),
        "inputs": {dep["path"]: dep["md5"] for dep in stage["deps"] if dep["path"].startswith("data/")},
    }


def network(name: str, stage: dict[str, Any]) -> dict[str, Any]:
    """Return the facts of one network: of its model, its training record, and its params as dvc.lock has them."""
    values = {key: value for of in stage["params"].values() for key, value in of.items()}
    flat = pd.json_normalize(values).to_dict("records")[0]  # {"a.b": 1} for {"a": {"b": 1}}
    prefix = f"models.{name}."
    params = {key.removeprefix(prefix): value for key, value in flat.items() if key.startswith(prefix)}
    params = {key: str(value) for key, value in params.items() if value is not None}
    return candidates.facts(name) | {"params": params, "record": read_json(paths.RECORDS / "train" / f"{name}.json")}


def describe(verdict: str, card: str) -> str:
    """Return a version's description: the verdict, and the card without its front matter, as much as MLflow takes.

    Whole sections are left out, and named.
    """
    text = card.split("---\n", 2)[2].strip()
    begin, *texts = f"{verdict}\n\n{text}\n".split("\n## ")
    kept = {text.partition("\n")[0]: text for text in texts}
    spared = [*(name for name in SPARED if name in kept), *(name for name in reversed(kept) if name not in SPARED)]
    left_out: list[str] = []
    whole = "\n## ".join([begin, *kept.values()])
    while len(whole) > LONGEST:
        left_out.append(spared.pop(0))
        del kept[left_out[-1]]
        pointer = f"Left out here: {'; '.join(left_out)}. The whole card is the run's artifact `model_card.md`."
        whole = "\n## ".join([begin, *kept.values()]) + f"\n{pointer}\n"
    return whole
