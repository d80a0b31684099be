"""What may be changed among the files behind the project's back, and the link that then is broken."""

from pathlib import Path

from pipeline.registry import versions
from tests.tampering import (
    CNN,
    another_model,
    append,
    artifact,
    decide_otherwise,
    execute,
    locked_hash,
    logged,
    replace,
    with_changes,
    without_deps,
    without_stage,
)

FILES = {
    "the logged model": (
        lambda: logged("data/model.keras"),
        another_model,
        "run \\w+, logged model: the fingerprint",
    ),
    "the folder that MLflow loads": (
        lambda: logged("MLmodel"),
        lambda path: replace(path, "data: data", "data: elsewhere"),
        "run \\w+, logged model: .*its MLmodel has",
    ),
    "the code that MLflow loads it with": (
        lambda: logged("MLmodel"),
        lambda path: replace(path, "loader_module: mlflow.tensorflow", "loader_module: somebodys"),
        "run \\w+, logged model: .*its MLmodel has",
    ),
    "what the logged model needs": (
        lambda: logged("requirements.txt"),
        lambda path: Path(path).unlink(),
        "run \\w+, logged model: the files of",
    ),
    "the probabilities that the gate reads": (
        lambda: artifact("validation.npy"),
        append,
        "run \\w+, artifact validation.npy",
    ),
    "the gate's evidence": (
        lambda: artifact("promotion.json"),
        with_changes(lambda decision: decision["evidence"].clear()),
        "version 1, artifact promotion.json",
    ),
    "the gate's evidence, with its tag": (
        lambda: artifact("promotion.json"),
        lambda path: decide_otherwise(path, {"promote": True, "reason": "because", "checks": [], "evidence": {}}),
        "version 1, tag evidence: the history has no such decision",
    ),
    "the gate's evidence, as if a person had decided": (
        lambda: artifact("promotion.json"),
        lambda path: decide_otherwise(path, versions.BY_HAND),
        "version 1, tag evidence: the history has no such decision",
    ),
    "the gate's evidence, which is gone with its tags": (
        lambda: artifact("promotion.json"),
        lambda path: (
            Path(path).unlink(),
            execute("delete from model_version_tags where key in ('evidence', 'gate')"),
        ),
        "version 1, artifact promotion.json",
    ),
    "registry.json, of which the tags are gone": (
        lambda: "registry.json",
        with_changes(lambda decision: decision.pop("tags")),
        "registry.json",
    ),
    "registry.json, which is gone": (
        lambda: "registry.json",
        lambda path: Path(path).unlink(),
        "promote, out registry.json: it is missing",
    ),
    "what dvc.lock says of the decision": (
        lambda: "dvc.lock",
        without_stage("promote"),
        "promote",
    ),
    "what dvc.lock says of the evaluation": (
        lambda: "dvc.lock",
        without_stage("evaluate@custom_cnn"),
        "evaluate@custom_cnn",
    ),
    "what dvc.lock says of a stage's deps": (
        lambda: "dvc.lock",
        without_deps,
        "train@custom_cnn, dep ",
    ),
    "the model": (lambda: "ensemble/model.keras", another_model, "ensemble, out ensemble: it is modified"),
    "a member's model": (
        lambda: f"{CNN}/model.keras",
        append,
        "train@custom_cnn, out models/custom_cnn: it is modified",
    ),
    "the facts of the model": (
        lambda: "ensemble/model.json",
        lambda path: replace(path, '"status"', '"x": 1, "status"'),
        "ensemble, out ensemble: it is modified",
    ),
    "the metrics": (
        lambda: "metrics/ensemble.json",
        lambda path: replace(path, '"accuracy": 0.', '"accuracy": 0.9'),
        "ensemble, out metrics/ensemble.json: it is modified",
    ),
    "the recorded hash": (
        lambda: "dvc.lock",
        lambda path: replace(path, locked_hash("data/train"), "a" * 32),
        "data/train: it is not in cache",
    ),
    "the recorded params": (
        lambda: "dvc.lock",
        lambda path: replace(path, "rounds: 20", "rounds: 21"),
        "ensemble, dep params.yaml: it has other values",
    ),
    "dvc.lock itself": (lambda: "dvc.lock", append, "dvc.lock"),
    "the train images": (lambda: "data/train/images.npy", append, "prepare, out data/train: it is modified"),
    "the test labels": (lambda: "data/test/labels.npy", append, "prepare, out data/test: it is modified"),
    "a raw batch": (lambda: "data/raw/data_batch_3.bin", append, "download, out data/raw: it is modified"),
    "the manifest": (
        lambda: "data/weights/custom_cnn/manifest.json",
        lambda path: replace(path, "from scratch", "from itch"),
        "data/weights/custom_cnn: it is modified: `git checkout` or `dvc checkout`",
    ),
    "the test probabilities": (
        lambda: "predictions/custom_cnn/test.npy",
        append,
        "evaluate@custom_cnn, out predictions/custom_cnn: it is modified",
    ),
    "the history": (lambda: "plots/history/custom_cnn.csv", append, "plots/history/custom_cnn.csv"),
    "the code": (lambda: "pipeline/training/fit.py", append, "dep pipeline/training"),
}
