"""Stage `promote`: the best candidate on validation challenges the champion of the registry; the gate decides."""

import tempfile
from pathlib import Path

import numpy as np

from pipeline.core import environment, errors, paths
from pipeline.core.files import checksum, read_json, replacing, write_json
from pipeline.core.schema import Params
from pipeline.data import splits
from pipeline.registry import gate, journal, promotion, versions
from pipeline.reporting import facts, model_card, results
from pipeline.tracking import logged_models, runs, store

SPLIT = "dep.data/validation"  # tag of a run: hash of the images that decide
PROBABILITIES = "validation.npy"  # artifact of a run
VERDICTS = {
    True: (promotion.CHAMPION, promotion.promote, "promoted"),
    False: (promotion.CHALLENGER, promotion.refuse, "refused"),
}


def main() -> None:
    params = environment.check()
    metrics = {name: found for name, found in results.load().items() if "skipped" not in found}
    metric = params.registry.metric
    scores = {name: figures["validation"][metric] for name, figures in metrics.items()}
    winner = (max if metric == "accuracy" else min)(scores, key=scores.get)
    store.connect(params)
    with versions.alone(), store.answering():
        outcome = challenge(winner, metrics[winner], scores, params)
    write_json(paths.REGISTRY, outcome)
    print(f"{outcome['model']} version {outcome['version']}: {outcome['description']}")


def challenge(winner: str, figures: dict, scores: dict[str, float], params: Params) -> dict:
    """Have the winner registered as the gate says, and return what paths.REGISTRY is to hold.

    A champion that was decided on before stays as it is. `figures`: the winner's metrics file. `scores`: what decided
    who challenges, by candidate. Raises UserError if a file or the store has something else than was recorded, or if
    someone else has changed the registry meanwhile.
    """
    model, metric = params.registry.model, params.registry.metric
    receipt = read_json(paths.candidate(winner) / "run.json")
    run = runs.find(receipt["run_id"])
    model_uri, tags = logged_models.model_uri(run), versions.tags(winner, run.info.run_id, receipt, figures, metric)
    seen, champion = promotion.history(model), promotion.champion(model)
    reigns = champion is not None and champion.tags.get("model_uri") == model_uri
    if reigns and decided(champion, seen):
        decision, version = recorded(champion, tags), str(champion.version)
        write_card(winner, model, decision, promotion.CHAMPION)
    else:
        if reigns:  # the edge model, say
            decision = versions.BY_HAND
        else:
            decision = decide(contender(winner, figures["cost"], receipt), run, champion, len(scores), params)
        alias, act, verdict = VERDICTS[decision["promote"]]
        write_card(winner, model, decision, alias)
        test = figures["test"]
        sentence = (
            f"{winner}: best validation {metric} ({scores[winner]:.4f}) of {len(scores)} candidates; {verdict}: "
            f"{decision['reason']}. Test accuracy {test['accuracy']:.4f}, 95 % interval {test['accuracy_low']:.4f} to "
            f"{test['accuracy_high']:.4f}, which decided nothing."
        )
        tags |= {versions.DECISION: versions.digest(decision), versions.DECIDED: decision["reason"]}
        versions.reopen(model, model_uri)
        store.log_file(paths.MODEL_CARD, run.info.run_id)
        store.log_json(versions.EVIDENCE, decision, run.info.run_id)
        description = model_card.describe(sentence, paths.MODEL_CARD.read_text())
        version = versions.register(model, model_uri, description, tags)
        act(model, version, decision["reason"], seen, tags[versions.DECISION])
    found = versions.resolve(model, version)
    return told(found, decision) | {"decided_by": f"validation {metric}", "candidates": scores}


def contender(name: str, cost: dict, receipt: dict) -> gate.Candidate:
    """The winner, as the gate compares it. Raises UserError if its probabilities are not those of its receipt."""
    path = paths.candidate(name) / PROBABILITIES
    if checksum(path) != receipt["tags"].get(logged_models.VALIDATION):
        raise errors.UserError(f"{path} is not that of its run.json: `dvc checkout` brings it back")
    return gate.Candidate(name, np.load(path), cost["size_mb"], cost["seconds_per_1000_images"])


def write_card(name: str, model: str, decision: dict, alias: str) -> None:
    """Write the model card of what will have the alias."""
    text = model_card.render(facts.collect(name, f"models:/{model}@{alias}", decision))
    with replacing(paths.MODEL_CARD) as temporary:
        temporary.write_text(text)


def told(version, decision: dict) -> dict:
    """What the files are to have of a version and of the history, so that a lost store can be told it again."""
    model, champion = version.name, promotion.champion(version.name)
    entries, reigns = promotion.history(model), champion and champion.version == version.version
    return {
        "model": model,
        "version": str(version.version),
        "candidate": version.tags["candidate"],
        "run_id": version.run_id,
        "model_uri": version.tags["model_uri"],
        "stage": version.current_stage,
        "alias": promotion.CHAMPION if reigns else promotion.CHALLENGER,
        "champion": champion and str(champion.version),
        "previous": promotion.previous(entries),
        "history": {"entries": len(entries), "sha256": journal.hashes(model)[len(entries)]},
        "description": model_card.verdict(version.description),
        "tags": versions.own(version.tags),
        "test": {"challenger": tested(version), "champion": tested(champion)},
        "gate": decision,
    }


def decided(champion, seen: list[dict]) -> bool:
    """Whether that was ended by which the champion was decided on: a stage may have been killed at it."""
    entered = {entry.get("evidence") for entry in seen if entry["to"] == str(champion.version)}
    evidence = None if versions.by_hand(champion) else champion.tags.get(versions.DECISION)
    return versions.DECIDED in champion.tags and evidence in entered


def recorded(champion, tags: dict[str, str]) -> dict:
    """What was decided when the champion was challenger.

    Raises UserError if its run has something else by now, or if the version says of whose model it is something else
    than `tags`.
    """
    for key in versions.OWN:
        if champion.tags.get(key) != tags[key]:
            raise changed(champion, f"tag {key}")
    decision = versions.evidence(champion.run_id)
    if decision is None or versions.digest(decision) != champion.tags.get(versions.DECISION):
        raise changed(champion, f"{versions.EVIDENCE} of its run")
    return decision


def decide(challenger: gate.Candidate, challengers_run, champion, rivals: int, params: Params) -> dict:
    """What the gate says of the challenger against the champion's version, whose probabilities its run has.

    Raises UserError if those are not the ones that were recorded when the champion was trained.
    """
    _, labels = splits.load(paths.VALIDATION)
    others = (params.gate, params.evaluation.ece_bins, rivals, params.seed)
    if champion is None:
        return gate.decide(challenger, None, labels, *others)
    if not {"run_id", "candidate", logged_models.VALIDATION} <= set(champion.tags):
        return gate.incomparable(f"version {champion.version} is not of this workflow")
    run = runs.find(champion.tags["run_id"])
    split = run.data.tags.get(SPLIT)
    if split is None or split != challengers_run.data.tags.get(SPLIT):
        return gate.incomparable(f"version {champion.version} has seen other validation images")
    cost = [run.data.metrics.get(name) for name in ("size_mb", "seconds_per_1000_images")]
    if None in cost:
        return gate.incomparable(f"the run of version {champion.version} lacks size_mb or seconds_per_1000_images")
    with tempfile.TemporaryDirectory() as folder:
        found = store.artifact(run.info.run_id, PROBABILITIES, Path(folder))
        if found is None:
            return gate.incomparable(f"the run of version {champion.version} has no {PROBABILITIES}")
        if checksum(found) != champion.tags[logged_models.VALIDATION]:
            raise changed(champion, f"{PROBABILITIES} of its run")
        probabilities = np.load(found)
    if probabilities.shape != challenger.probabilities.shape:
        return gate.incomparable(f"the run of version {champion.version} has probabilities of other images")
    return gate.decide(challenger, gate.Candidate(champion.tags["candidate"], probabilities, *cost), labels, *others)


def changed(champion, what: str) -> errors.UserError:
    return errors.UserError(
        f"{champion.name} version {champion.version}, the champion: {what} is not what was recorded: put it back, "
        "or make another version the champion with `pipeline promote`"
    )


def tested(version) -> float | None:
    """The test accuracy, as a version says it."""
    return float(version.tags["test_accuracy"]) if version and "test_accuracy" in version.tags else None


if __name__ == "__main__":
    errors.run(main)
