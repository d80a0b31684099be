"""What becomes of a challenger: compared with the champion by the gate, registered, and promoted or refused."""

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from mlflow.entities import Run
from mlflow.entities.model_registry import ModelVersion

from pipeline.core import paths
from pipeline.core.errors import UserError
from pipeline.core.files import checksum, replacing
from pipeline.core.schema import Params
from pipeline.data import splits
from pipeline.registry import gate, journal, promotion, versions
from pipeline.registry.standing import CHALLENGER, CHAMPION, Standing
from pipeline.reporting import model_card
from pipeline.tracking import logged_models, provenance, runs, store
from pipeline.tracking.view import VALIDATION

PROBABILITIES = "validation.npy"  # artifact of a run
IMAGES = "cifar10-validation"  # data set of a run: the images that decide
COSTS = ("size_mb", "seconds_per_1000_images")  # metrics of a run that the gate limits


def challenge(winner: str, figures: dict[str, Any], scores: dict[str, float], params: Params) -> dict[str, Any]:
    """Register the winner as the gate decides, and return what paths.REGISTRY is to hold.

    A champion that was decided on before stays as it is. `figures`: the winner's metrics file. `scores`: what decided
    who challenges, by candidate. Raises UserError if a file or the store has something else than was recorded, or if
    someone else has changed the registry meanwhile.
    """
    model, metric, test = params.registry.model, params.registry.metric, figures["test"]
    run, tags = runs.of(winner), versions.tags(winner, figures, metric)
    address, seen = logged_models.model_uri(run), promotion.settle(model)
    champion = seen.versions[seen.champion] if seen.champion else None
    reigns = champion is not None and champion.source == address
    settled = reigns and decided(champion, seen.entries)
    if settled:
        decision = recorded(champion, tags)
    elif reigns:  # the edge model, say
        decision = versions.BY_HAND
    else:
        decision = compare(contender(winner, run, figures["cost"]), run, champion, len(scores), params)
    promoted = reigns or decision["promote"]
    alias = CHAMPION if promoted else CHALLENGER
    with replacing(paths.MODEL_CARD) as temporary:
        temporary.write_text(model_card.render(winner, f"models:/{model}@{alias}", decision))
    if not settled:
        sentence = (
            f"{winner}: best validation {metric} ({scores[winner]:.4f}) of {len(scores)} candidates; "
            f"{'promoted' if promoted else 'refused'}: {decision['reason']}. Test accuracy {test['accuracy']:.4f}, "
            f"95 % interval {test['accuracy_low']:.4f} to {test['accuracy_high']:.4f}, which decided nothing."
        )
        tags |= {versions.EVIDENCE: provenance.digest(decision), versions.GATE: decision["reason"]}
        entry = {"model": model, "candidate": winner, "description": sentence, "tags": tags, "gate": decision}
        version = versions.apply(entry, paths.MODEL_CARD)
        action = "promote" if promoted else "refuse"
        promotion.enter(model, action, version, decision["reason"], seen, tags[versions.EVIDENCE])
    found = champion if settled else versions.version_of(model, address)
    return outcome(found, decision) | {"decided_by": f"validation {metric}", "candidates": scores}


def contender(name: str, run: Run, cost: dict[str, float]) -> gate.Candidate:
    """Return the winner, as the gate compares it. Raises UserError if its probabilities are not those of its run."""
    path = paths.candidate(name) / PROBABILITIES
    if checksum(path) != run.data.tags.get(VALIDATION):
        raise UserError(f"{path} is not what run {run.info.run_id} has: `pipeline lineage {paths.stage(name)}`")
    return gate.Candidate(name, np.load(path), *(cost[key] for key in COSTS))


def outcome(version: ModelVersion, decision: dict[str, Any]) -> dict[str, Any]:
    """Return what the files are to have of a version and of the history, so that a lost store can be restored."""
    model = version.name
    found, hashes = Standing.of(model), journal.hashes(model)
    champion = found.versions[found.champion] if found.champion else None
    reigns, count = found.champion == str(version.version), len(found.entries)
    own = (*versions.OWN, versions.EVIDENCE, versions.GATE)
    return {
        "model": model,
        "version": str(version.version),
        "candidate": version.tags["candidate"],
        "stage": version.current_stage,
        "alias": CHAMPION if reigns else CHALLENGER,
        "champion": found.champion,
        "previous": found.previous(),
        "history": {"entries": count, "sha256": hashes[count]},
        "description": version.description.partition("\n\n")[0],
        "tags": {key: text for key, text in version.tags.items() if key in own or key.startswith(versions.SCORES)},
        "test": {"challenger": tested(version), "champion": tested(champion)},
        "gate": decision,
    }


def decided(champion: ModelVersion, seen: list[dict[str, Any]]) -> bool:
    """Return whether what made the version champion was ended: a stage may have been killed at it."""
    entered = {entry.get("evidence") for entry in seen if entry["to"] == str(champion.version)}
    evidence = None if versions.by_hand(champion) else champion.tags.get(versions.EVIDENCE)
    return versions.GATE in champion.tags and evidence in entered


def recorded(champion: ModelVersion, tags: dict[str, str]) -> dict[str, Any]:
    """Return what was decided when the champion was challenger.

    Raises UserError if its run has another decision by now, or the version other tags OWN than `tags`.
    """
    for key in versions.OWN:
        if champion.tags.get(key) != tags[key]:
            raise changed(champion, f"tag {key}")
    decision = versions.evidence(champion.run_id)
    if decision is None or provenance.digest(decision) != champion.tags.get(versions.EVIDENCE):
        raise changed(champion, f"{versions.DECISION} of its run")
    return decision


def compare(
    challenger: gate.Candidate, challengers_run: Run, champion: ModelVersion | None, rivals: int, params: Params
) -> dict[str, Any]:
    """Return what the gate decides of the challenger against the champion's version.

    Raises UserError if the champion's probabilities are not those that were recorded when it was trained.
    """
    labels = splits.labels(paths.VALIDATION)
    settings = (params.gate, params.evaluation.ece_bins, rivals, params.seed)
    if champion is None:
        return gate.decide(challenger, None, labels, *settings)
    run = runs.get(champion.run_id) if champion.run_id else None
    if run is None or not {*versions.OWN} <= {*champion.tags} or VALIDATION not in run.data.tags:
        return gate.incomparable(f"version {champion.version} is not of this workflow")
    if images(run) is None or images(run) != images(challengers_run):
        return gate.incomparable(f"version {champion.version} has seen other validation images")
    cost = [run.data.metrics.get(key) for key in COSTS]
    if None in cost:
        return gate.incomparable(f"the run of version {champion.version} lacks {' or '.join(COSTS)}")
    with tempfile.TemporaryDirectory() as folder:
        found = store.artifact(run.info.run_id, PROBABILITIES, Path(folder))
        if found is None:
            return gate.incomparable(f"the run of version {champion.version} has no {PROBABILITIES}")
        if checksum(found) != run.data.tags[VALIDATION]:
            raise changed(champion, f"{PROBABILITIES} of its run")
        probabilities = np.load(found)
    if probabilities.shape != challenger.probabilities.shape:
        return gate.incomparable(f"the run of version {champion.version} has probabilities of other images")
    return gate.decide(challenger, gate.Candidate(champion.tags["candidate"], probabilities, *cost), labels, *settings)


def images(run: Run) -> str | None:
    """Return MLflow's digest of the validation images that a run has seen; None if it has seen none."""
    return next((seen.dataset.digest for seen in run.inputs.dataset_inputs if seen.dataset.name == IMAGES), None)


def changed(champion: ModelVersion, what: str) -> UserError:
    """Return the error for a champion that is not what was recorded."""
    return UserError(
        f"{champion.name} version {champion.version}, the champion: {what} is not what was recorded: put it back, "
        "or make another version the champion with `pipeline promote`"
    )


def tested(version: ModelVersion | None) -> float | None:
    """Return the test accuracy, as a version says it."""
    return float(version.tags["test_accuracy"]) if version and "test_accuracy" in version.tags else None
