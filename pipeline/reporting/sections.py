"""The sections of a model card, under Hugging Face's headings. A paragraph is one line, for MLflow breaks at each."""

from pipeline.data import cifar10
from pipeline.reporting import tables
from pipeline.reporting.facts import Facts

CITATION = """The data:

```bibtex
@techreport{krizhevsky2009learning,
  author = {Alex Krizhevsky},
  title = {Learning Multiple Layers of Features from Tiny Images},
  institution = {University of Toronto},
  year = {2009}
}
```"""


def written(facts: Facts) -> dict[str, str]:
    """Markdown by heading, in Hugging Face's order; lineage last."""
    return {
        "Model Details": details(facts),
        "Uses": uses(),
        "Bias, Risks, and Limitations": limitations(facts),
        "How to Get Started with the Model": start(facts),
        "Training Details": training(facts),
        "Evaluation": evaluation(facts),
        "Environmental Impact": impact(facts),
        "Technical Specifications": specifications(facts),
        "Citation": CITATION,
        "Lineage": lineage(facts),
    }


def pretrained(facts: Facts) -> dict[str, str]:
    """Where the ImageNet weights of each network come from that has such."""
    origins = {name: made["weights"] for name, made in facts.members.items()}
    return {name: weights["origin"] for name, weights in origins.items() if weights["status"] == "ready"}


def details(facts: Facts) -> str:
    cost = facts.scores["cost"]
    origins = "; ".join(f"{name}: {origin}" for name, origin in pretrained(facts).items())
    return f"""### Model Description

- **Developed by:** the repository does not say
- **Model type:** {_kind(facts)}
- **License:** none is stated in the repository
- **Finetuned from model:** {origins or "none, trained from scratch"}
- **Size:** {cost["parameters"]:,} parameters, {cost["size_mb"]:.1f} MB

### Model Sources

- **Repository:** the one that has commit `{facts.receipt["tags"]["git.commit"]}`"""


def _kind(facts: Facts) -> str:
    if facts.name != "ensemble":
        return f"convolutional network, `{facts.name}`"
    shares = ", ".join(f"`{name}` ({weight:.2f})" for name, weight in facts.weights.items())
    return f"one model that averages the probabilities of convolutional networks, weighted: {shares}"


def uses() -> str:
    return f"""### Direct Use

To tell which of the ten classes of CIFAR-10 a small colour picture shows ({", ".join(cifar10.CLASSES)}): for \
teaching, for comparing methods, for trying out a pipeline. The model takes uint8 RGB pictures of 32 x 32 pixels; \
enlarging, scaling, mirror images and temperature are inside it.

### Out-of-Scope Use

Pictures of anything else: there is no class for "none of these", and such a picture may get a high probability. Any \
decision about people, their safety or their rights."""


def limitations(facts: Facts) -> str:
    recall, test, unlike = (facts.scores[key] for key in ("test_recall", "test", "test_without_duplicates"))
    worst, best = min(recall, key=recall.get), max(recall, key=recall.get)
    voters = ", the ensemble's members and weights" if facts.name == "ensemble" else ""
    biases = " The pretrained weights have ImageNet's biases besides." if pretrained(facts) else ""
    return f"""- Classes differ: of {worst} {recall[worst]:.1%} are recognised, of {best} {recall[best]:.1%}.
- Some test images are nearly the same as one that was trained on or chosen by. Without them the accuracy is \
{unlike["accuracy"]:.2%} of {unlike["images"]:,} images, with them {test["accuracy"]:.2%} of {test["images"]:,}.
- The intervals are over the test images. The spread over seeds is not in them: this is one training.
- The validation images chose epochs, temperatures{voters} and the candidate to register: their figures flatter.
- Probabilities are calibrated for pictures like CIFAR-10's (ECE {test["ece"]:.4f}), and for no others.
- CIFAR-10 is a labelled part of 80 Million Tiny Images, which its makers withdrew in 2020 for the offensive words and \
pictures in it.{biases}

### Recommendations

Measure on pictures of your own before use, class by class."""


def start(facts: Facts) -> str:
    return f"""```python
import mlflow

mlflow.set_tracking_uri("sqlite:///mlruns/mlflow.db")  # or your server
model = mlflow.pyfunc.load_model("{facts.address}")
probabilities = model.predict(images)  # uint8 (N, 32, 32, 3) in, float32 (N, 10) out
```

It takes MLflow, TensorFlow and Keras, and none of the repository's code."""


def training(facts: Facts) -> str:
    images = {split: sum(counts.values()) for split, counts in facts.data["classes"].items()}
    seed = facts.receipt["params"]["seed"]
    speed = facts.scores["cost"]["seconds_per_1000_images"]
    procedures = "\n".join(f"- `{name}`: {_procedure(made)}" for name, made in facts.members.items())
    return f"""### Training Data

{images["train"]:,} of CIFAR-10's training images. {images["validation"]:,} others of them, a stratified choice by \
seed {seed}, are the validation images.

### Training Procedure

{procedures}

#### Training Hyperparameters

{tables.hyperparameters(facts)}
#### Speeds, Sizes, Times

{tables.times(facts)}
It predicts 1,000 images in {speed:.1f} s, on the machine that evaluated it."""


def _procedure(made: dict) -> str:
    params = made["params"]
    if made["weights"]["status"] != "ready":
        return "trained from scratch on moved and mirrored images."
    pixels = f"at {params['trunk.resolution']} pixels"
    if params["trunk.cut"] == "None":
        return f"all layers were trained, from ImageNet weights, {pixels}."
    return (
        f"layers up to `{params['trunk.cut']}` kept their ImageNet weights and were run once, {pixels}, on "
        f"{params['trunk.views']} views of each image; the layers after it were trained."
    )


def evaluation(facts: Facts) -> str:
    return f"""### Testing Data, Factors & Metrics

#### Testing Data

{facts.scores["test"]["images"]:,} of CIFAR-10's test images, which chose nothing.

#### Factors

The ten classes; whether an image has a near-duplicate among those trained on or chosen by.

#### Metrics

Accuracy and recall with 95 % intervals (Wilson); NLL, the negative log-likelihood in nats; ECE, the expected \
calibration error of the top class.

### Results

{tables.scores(facts)}
#### By Class

{tables.classes(facts)}{_gate(facts.decision)}"""


def _gate(decision: dict | None) -> str:
    if decision is None:
        return ""
    verdict = "promoted" if decision["promote"] else "refused"
    return f"\n#### Promotion\n\n{verdict}, by validation images: {decision['reason']}.\n\n{tables.checks(decision)}"


def impact(facts: Facts) -> str:
    seconds = sum(sum(values) for values in tables.cpu_seconds(facts).values())
    memory = max(made["peak_memory_gb"] for made in (*facts.members.values(), *facts.spent.values()))
    return f"""- **Hardware Type:** {", ".join(sorted({made["device"] for made in facts.members.values()}))}
- **CPU seconds:** {seconds:,.0f}, of all threads; earlier trials are not in them
- **Peak memory:** {memory:.1f} GB
- **Carbon Emitted:** not known: energy was not measured

{tables.costs(facts)}"""


def specifications(facts: Facts) -> str:
    exported = (
        "\n\n### Exported Files\n\nMeasured on validation images that calibrated none of them; agreement is with the "
        f"Keras model's classes, the time is one thread's.\n\n{tables.exports(facts)}"
    )
    return f"""### Model Architecture and Objective

Stock Keras layers, uint8 (N, 32, 32, 3) to float32 (N, 10): {_kind(facts)}. Networks learn by cross-entropy with \
smoothed labels; temperatures are fitted on the validation images.

### Software

Keras and TensorFlow, of the versions that the logged model requires.{exported if facts.exports else ""}"""


def lineage(facts: Facts) -> str:
    return f"""{tables.lineage(facts)}
`pipeline lineage {facts.receipt["run_id"]}` verifies all of it, down to the raw data."""
