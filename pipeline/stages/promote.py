"""Stage `promote`: the best candidate on validation challenges the champion of the registry; the gate decides."""

from pipeline.core import candidates, environment, paths
from pipeline.core.files import write_json
from pipeline.registry import decision, versions
from pipeline.tracking import store


def main() -> None:
    params = environment.check()
    metrics, metric = candidates.scored(), params.registry.metric
    scores = {name: figures["validation"][metric] for name, figures in metrics.items()}
    winner = candidates.best(metrics, metric)
    store.connect(params)
    with versions.alone():
        outcome = decision.challenge(winner, metrics[winner], scores, params)
    write_json(paths.REGISTRY, outcome)
    print(f"{outcome['model']} version {outcome['version']}: {outcome['description']}")
