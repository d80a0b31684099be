"""Stage `promote`: the best candidate on validation challenges the champion of the registry; the gate decides."""

import tempfile
from pathlib import Path

import numpy as np

from pipeline import (
    card,
    cifar10,
    errors,
    facts,
    gate,
    logged,
    paths,
    preflight,
    registry,
    results,
    runs,
    tracking,
    versions,
)
from pipeline.files import read_json, replacing, write_json
from pipeline.schema import Params

SPLIT = "dep.data/validation"  # tag of a run: hash of the images that decide


def main() -> None:
    params = preflight.check()
    metrics = {name: found for name, found in results.load().items() if "skipped" not in found}
    metric = params.registry.metric
    scores = {name: figures["validation"][metric] for name, figures in metrics.items()}
    winner = (max if metric == "accuracy" else min)(scores, key=scores.get)
    folder = paths.candidate(winner)
    receipt = read_json(folder / "run.json")

    tracking.connect(params)
    run = runs.find(receipt["run_id"])
    run_id, model_uri = run.info.run_id, logged.model_uri(run)
    model = params.registry.model
    seen, champion = registry.history(model), registry.champion(model)
    if champion and champion.tags.get("model_uri") == model_uri:
        decision = recorded(run_id)
    else:
        cost = metrics[winner]["cost"]
        challenger = gate.Candidate(
            winner, np.load(folder / "validation.npy"), cost["size_mb"], cost["seconds_per_1000_images"]
        )
        decision = decide(challenger, run, champion, len(scores), params)
        tracking.log_json(registry.EVIDENCE, decision, run_id)

    test = metrics[winner]["test"]
    tags = versions.tags(winner, run_id, receipt["fingerprint"], metrics[winner], metric)
    tags[registry.DECIDED] = decision["reason"]
    verdict = "promoted" if decision["promote"] else "refused"
    sentence = (
        f"{winner}: best validation {metric} ({scores[winner]:.4f}) of {len(scores)} candidates; {verdict}: "
        f"{decision['reason']}. Test accuracy {test['accuracy']:.4f}, "
        f"95 % interval {test['accuracy_low']:.4f} to {test['accuracy_high']:.4f}, which decided nothing."
    )
    alias = registry.CHAMPION if decision["promote"] else registry.CHALLENGER
    text = card.render(facts.collect(winner, f"models:/{model}@{alias}", decision))
    with replacing(paths.MODEL_CARD) as temporary:
        temporary.write_text(text)
    tracking.log_file(paths.MODEL_CARD, run_id)
    version = registry.register(model, model_uri, card.describe(sentence, text), tags)
    (registry.promote if decision["promote"] else registry.refuse)(model, version, decision["reason"], seen)
    entries, champion = registry.history(model), registry.champion(model)
    outcome = {
        "model": model,
        "version": version,
        "candidate": winner,
        "run_id": run_id,
        "model_uri": model_uri,
        "stage": registry.PRODUCTION if decision["promote"] else registry.STAGING,
        "alias": alias,
        "champion": champion and str(champion.version),
        "previous": registry.previous(entries),
        "description": sentence,
        "tags": tags,
        "decided_by": f"validation {metric}",
        "candidates": scores,
        "test": {"challenger": test["accuracy"], "champion": tested(champion)},
        "gate": decision,
    }
    write_json(paths.REGISTRY, outcome)
    print(f"{model} version {version}: {sentence}")


def recorded(run_id: str) -> dict:
    """What was decided when this run's model, the champion, was its challenger."""
    with tempfile.TemporaryDirectory() as folder:
        found = tracking.artifact(run_id, registry.EVIDENCE, Path(folder))
        decision = read_json(found) if found else {"promote": False, "checks": [], "evidence": {}}
    return decision if decision["promote"] else decision | {"promote": True, "reason": "was promoted by hand"}


def decide(challenger: gate.Candidate, challengers_run, champion, rivals: int, params: Params) -> dict:
    """What the gate says of the challenger against the champion's version, whose probabilities its run has."""
    _, labels = cifar10.load(paths.VALIDATION)
    others = (params.gate, params.evaluation.ece_bins, rivals, params.seed)
    if champion is None:
        return gate.decide(challenger, None, labels, *others)
    if not {"run_id", "candidate"} <= set(champion.tags):
        return gate.incomparable(f"version {champion.version} is not of this workflow")
    run = runs.find(champion.tags["run_id"])
    split = run.data.tags.get(SPLIT)
    if split is None or split != challengers_run.data.tags.get(SPLIT):
        return gate.incomparable(f"version {champion.version} has seen other validation images")
    with tempfile.TemporaryDirectory() as folder:
        found = tracking.artifact(run.info.run_id, "validation.npy", Path(folder))
        if found is None:
            return gate.incomparable(f"the run of version {champion.version} has no validation.npy")
        probabilities = np.load(found)
    if probabilities.shape != challenger.probabilities.shape:
        return gate.incomparable(f"the run of version {champion.version} has probabilities of other images")
    cost = [run.data.metrics[name] for name in ("size_mb", "seconds_per_1000_images")]
    return gate.decide(challenger, gate.Candidate(champion.tags["candidate"], probabilities, *cost), labels, *others)


def tested(champion) -> float | None:
    """The champion's test accuracy, as its version says."""
    return float(champion.tags["test_accuracy"]) if champion and "test_accuracy" in champion.tags else None


if __name__ == "__main__":
    errors.run(main)
