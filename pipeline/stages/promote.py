"""Stage `promote`: the candidate with the best validation score becomes the registered model's champion."""

import hashlib

from pipeline import errors, lineage, paths, preflight, registry, results, tracking
from pipeline.files import read_json, write_json


def main() -> None:
    params = preflight.check()
    metrics = {name: found for name, found in results.load().items() if "skipped" not in found}
    metric = params.registry.metric
    scores = {name: figures["validation"][metric] for name, figures in metrics.items()}
    winner = (max if metric == "accuracy" else min)(scores, key=scores.get)
    receipt = read_json((paths.ENSEMBLE if winner == "ensemble" else paths.MODELS / winner) / "run.json")
    test = metrics[winner]["test"]
    tags = {
        "candidate": winner,
        "run_id": receipt["run_id"],
        "params.sha256": hashlib.sha256(params.model_dump_json().encode()).hexdigest(),
        f"validation_{metric}": f"{scores[winner]:.6f}",
        **{f"test_{name}": f"{test[name]:.6f}" for name in ("accuracy", "top3", "nll", "ece", "macro_f1")},
        **lineage.git(),
    }
    description = (
        f"{winner}: best validation {metric} ({scores[winner]:.4f}) of {len(scores)} candidates. Test accuracy "
        f"{test['accuracy']:.4f}, 95 % interval {test['accuracy_low']:.4f} to {test['accuracy_high']:.4f}."
    )
    tracking.connect(params)
    promoted = registry.promote(params.registry.model, receipt["model_uri"], description, tags)
    decision = {
        "model": params.registry.model,
        **promoted,
        "candidate": winner,
        "run_id": receipt["run_id"],
        "model_uri": receipt["model_uri"],
        "stage": registry.STAGE,
        "alias": registry.ALIAS,
        "decided_by": f"validation {metric}",
        "candidates": scores,
    }
    write_json(paths.REGISTRY, decision)
    print(f"{params.registry.model} version {promoted['version']}: {description}")


if __name__ == "__main__":
    errors.run(main)
