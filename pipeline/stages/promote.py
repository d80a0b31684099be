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
    journal,
    logged,
    paths,
    preflight,
    promotion,
    registry,
    results,
    runs,
    tracking,
    versions,
)
from pipeline.files import checksum, read_json, replacing, write_json
from pipeline.schema import Params

SPLIT = "dep.data/validation"  # tag of a run: hash of the images that decide
PROBABILITIES = "validation.npy"  # artifact of a run


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
    seen, champion = promotion.history(model), promotion.champion(model)
    if champion and champion.tags.get("model_uri") == model_uri:
        decision = recorded(run_id, champion)
    else:
        cost = metrics[winner]["cost"]
        if checksum(folder / PROBABILITIES) != receipt["tags"].get(logged.VALIDATION):
            raise errors.UserError(
                f"{folder}/{PROBABILITIES} is not that of its run.json: `dvc checkout` brings it back"
            )
        probabilities = np.load(folder / PROBABILITIES)
        challenger = gate.Candidate(winner, probabilities, cost["size_mb"], cost["seconds_per_1000_images"])
        decision = decide(challenger, run, champion, len(scores), params)

    test = metrics[winner]["test"]
    tags = versions.tags(winner, run_id, receipt, metrics[winner], metric)
    tags |= {registry.DECISION: registry.digest(decision), registry.DECIDED: decision["reason"]}
    verdict = "promoted" if decision["promote"] else "refused"
    sentence = (
        f"{winner}: best validation {metric} ({scores[winner]:.4f}) of {len(scores)} candidates; {verdict}: "
        f"{decision['reason']}. Test accuracy {test['accuracy']:.4f}, "
        f"95 % interval {test['accuracy_low']:.4f} to {test['accuracy_high']:.4f}, which decided nothing."
    )
    alias = promotion.CHAMPION if decision["promote"] else promotion.CHALLENGER
    text = card.render(facts.collect(winner, f"models:/{model}@{alias}", decision))
    with replacing(paths.MODEL_CARD) as temporary:
        temporary.write_text(text)
    tracking.log_file(paths.MODEL_CARD, run_id)
    version = registry.register(model, model_uri, card.describe(sentence, text), tags)
    tracking.log_json(registry.EVIDENCE, decision, run_id)
    (promotion.promote if decision["promote"] else promotion.refuse)(model, version, decision["reason"], seen)
    entries, champion = promotion.history(model), promotion.champion(model)
    outcome = {
        "model": model,
        "version": version,
        "candidate": winner,
        "run_id": run_id,
        "model_uri": model_uri,
        "stage": promotion.PRODUCTION if decision["promote"] else promotion.STAGING,
        "alias": alias,
        "champion": champion and str(champion.version),
        "previous": promotion.previous(entries),
        "history": {"entries": len(entries), "sha256": journal.hashes(model)[len(entries)]},
        "description": sentence,
        "tags": tags,
        "decided_by": f"validation {metric}",
        "candidates": scores,
        "test": {"challenger": test["accuracy"], "champion": tested(champion)},
        "gate": decision,
    }
    write_json(paths.REGISTRY, outcome)
    print(f"{model} version {version}: {sentence}")


def recorded(run_id: str, champion) -> dict:
    """What was decided when this run's model, the champion, was its challenger.

    Raises UserError if the store has something else by now.
    """
    decision = registry.evidence(run_id) or {"promote": False, "checks": [], "evidence": {}}
    by_hand = decision | {"promote": True, "reason": "was promoted by hand"}
    # The tag comes first: the process may have been killed before the artifact was written.
    known = [registry.digest(decision), registry.digest(by_hand)]
    if champion.tags.get(registry.DECISION, known[0]) not in known:
        raise changed(champion, registry.EVIDENCE)
    return decision if decision["promote"] else by_hand


def decide(challenger: gate.Candidate, challengers_run, champion, rivals: int, params: Params) -> dict:
    """What the gate says of the challenger against the champion's version, whose probabilities its run has.

    Raises UserError if those are not the ones that were recorded when the champion was trained.
    """
    _, labels = cifar10.load(paths.VALIDATION)
    others = (params.gate, params.evaluation.ece_bins, rivals, params.seed)
    if champion is None:
        return gate.decide(challenger, None, labels, *others)
    if not {"run_id", "candidate", logged.VALIDATION} <= set(champion.tags):
        return gate.incomparable(f"version {champion.version} is not of this workflow")
    run = runs.find(champion.tags["run_id"])
    split = run.data.tags.get(SPLIT)
    if split is None or split != challengers_run.data.tags.get(SPLIT):
        return gate.incomparable(f"version {champion.version} has seen other validation images")
    cost = [run.data.metrics.get(name) for name in ("size_mb", "seconds_per_1000_images")]
    if None in cost:
        return gate.incomparable(f"the run of version {champion.version} lacks size_mb or seconds_per_1000_images")
    with tempfile.TemporaryDirectory() as folder:
        found = tracking.artifact(run.info.run_id, PROBABILITIES, Path(folder))
        if found is None:
            return gate.incomparable(f"the run of version {champion.version} has no {PROBABILITIES}")
        if checksum(found) != champion.tags[logged.VALIDATION]:
            raise changed(champion, PROBABILITIES)
        probabilities = np.load(found)
    if probabilities.shape != challenger.probabilities.shape:
        return gate.incomparable(f"the run of version {champion.version} has probabilities of other images")
    return gate.decide(challenger, gate.Candidate(champion.tags["candidate"], probabilities, *cost), labels, *others)


def changed(champion, name: str) -> errors.UserError:
    return errors.UserError(
        f"{champion.name} version {champion.version}, the champion: {name} of its run is not what was recorded: put it "
        "back, or make another version the champion with `pipeline promote`"
    )


def tested(champion) -> float | None:
    """The champion's test accuracy, as its version says."""
    return float(champion.tags["test_accuracy"]) if champion and "test_accuracy" in champion.tags else None


if __name__ == "__main__":
    errors.run(main)
