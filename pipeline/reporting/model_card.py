"""A model card, after Hugging Face's template and metadata, from a candidate's facts; and a version's description."""

import io

from ruamel.yaml import YAML

from pipeline.reporting import sections
from pipeline.reporting.facts import Facts

LONGEST = 5_000  # characters of a version's description: MLflow's column has no more
# What a description does without, first to last, if the card is too long for it; then come the others, from the end.
SPARED = ("Training Details", "Citation", "Technical Specifications", "Environmental Impact")
FENCE = "---\n"


def render(facts: Facts) -> str:
    """The card in GitHub's Markdown, after a front matter in YAML that the Hub reads."""
    parts = [
        f"{FENCE}{_front_matter(facts)}{FENCE}",
        f"# Model Card for {facts.name}, a CIFAR-10 classifier\n",
        "A small colour picture in, a probability for each of ten classes out. This card is generated: its figures are "
        "those that the run wrote down.\n",
        *(f"## {heading}\n\n{text.rstrip()}\n" for heading, text in sections.written(facts).items()),
    ]
    return "\n".join(parts)


def describe(verdict: str, card: str) -> str:
    """A version's description: the verdict, and the card without its front matter, as much of it as MLflow takes.

    Whole sections are left out, and named.
    """
    begin, *texts = f"{verdict}\n\n{card.split(FENCE, 2)[2].strip()}\n".split("\n## ")
    kept = {text.partition("\n")[0]: text for text in texts}
    spared = [*(name for name in SPARED if name in kept), *(name for name in reversed(kept) if name not in SPARED)]
    left_out = []
    while len(whole := _joined(begin, kept, left_out)) > LONGEST:
        left_out.append(spared.pop(0))
        del kept[left_out[-1]]
    return whole


def verdict(description: str) -> str:
    """What the description of a version begins with."""
    return description.partition("\n\n")[0]


def _joined(begin: str, kept: dict[str, str], left_out: list[str]) -> str:
    pointer = f"\nLeft out here: {'; '.join(left_out)}. The whole card is the run's artifact `model_card.md`.\n"
    return "\n## ".join([begin, *kept.values()]) + (pointer if left_out else "")


def _front_matter(facts: Facts) -> str:
    test = facts.scores["test"]
    data = "uoft-cs/cifar10"  # as the Hub calls it
    figures = [
        {"type": "accuracy", "name": f"accuracy, {test['images']} images", "value": test["accuracy"]},
        {"type": "f1", "name": "macro-F1", "value": test["macro_f1"]},
    ]
    result = {
        "task": {"type": "image-classification", "name": "Image Classification"},
        "dataset": {"name": "CIFAR-10", "type": data, "split": "test"},
        "metrics": figures,
    }
    values = {
        "license": "unknown",
        "library_name": "keras",
        "pipeline_tag": "image-classification",
        "datasets": [data, *(["ILSVRC/imagenet-1k"] if sections.pretrained(facts) else [])],
        "metrics": [figure["type"] for figure in figures],
        "model-index": [{"name": f"cifar10-{facts.name}", "results": [result]}],
    }
    stream = io.StringIO()
    YAML(pure=True).dump(values, stream)
    return stream.getvalue()
