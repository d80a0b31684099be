"""What may be changed in the store behind the project's back, and the link that then is broken."""

from mlflow import MlflowClient

from pipeline.registry import journal, promotion
from tests.tampering import (
    MODEL,
    another_version,
    execute,
    run_id,
    set_tag,
    version_tag,
)

STORE = {
    "the alias": (
        lambda: MlflowClient().set_registered_model_alias(MODEL, "champion", another_version()),
        "cifar10-classifier, champion",
    ),
    "the stage": (
        lambda: MlflowClient().transition_model_version_stage(MODEL, "1", "Archived"),
        "cifar10-classifier, champion",
    ),
    "the version's fingerprint": (version_tag("model.fingerprint", "0" * 64), "version 1, tag model.fingerprint"),
    "the version's figures": (version_tag("test_accuracy", "0.990000"), "version 1, tag test_accuracy: 0.990000"),
    "the version's candidate": (
        version_tag("candidate", "another"),
        "version 1, tag candidate: another, but its run has custom_cnn",
    ),
    "the reason that the version gives": (version_tag("gate", "because"), "version 1, tag gate"),
    "where the version lies": (
        lambda: execute("update model_versions set storage_location = 'file:///elsewhere'"),
        "version 1, location: who loads it gets file:///elsewhere",
    ),
    "the version's source": (
        lambda: execute("update model_versions set source = 'models:/m-other'"),
        "version 1, source: models:/m-other",
    ),
    "the version's decision": (version_tag("evidence", "0" * 64), "version 1, artifact promotion.json"),
    "the history": (
        lambda: execute(
            "update params set value = replace(value, '\"evidence\": \"', '\"evidence\": \"0') where key = '000001'"
        ),
        "version 1, tag evidence: the history has no such decision",
    ),
    "who it was, in the history's last entry": (
        lambda: execute(
            "update params set value = replace(value, '\"who\": \"', '\"who\": \"Not ') where key = '000001'"
        ),
        "history: entry 1 is not the one that registry.json tells of",
    ),
    "an entry of the history before the last": (
        lambda: (
            promotion.enter(MODEL, "promote", another_version(), "a test", promotion.settle(MODEL)),
            promotion.enter(MODEL, "promote", "1", "a test", promotion.settle(MODEL)),
            execute("update params set value = replace(value, 'no champion', 'one champion') where key = '000001'"),
        ),
        "history: entry 1 is not what it was when the next one was written",
    ),
    "an entry that is none": (
        lambda: execute("update params set value = 'x' where key = '000001'"),
        "entry 1 of the history of cifar10-classifier is damaged in the store",
    ),
    "the history's run": (
        lambda: MlflowClient().delete_run(journal.begin(MODEL)),
        "cifar10-classifier, history: it was deleted in MLflow: `pipeline restore` brings it back",
    ),
    "an epoch": (
        lambda: execute("update metrics set value = 0.99 where key = 'val_accuracy' and step = 1"),
        "metric val_accuracy of epoch 1: 0.99 in the store",
    ),
    "an epoch that is there twice": (
        lambda: execute(
            "insert into metrics select key, 5.0, timestamp - 5, run_uuid, step, is_nan from metrics "
            "where key = 'val_accuracy' and step = 1"
        ),
        "metric val_accuracy: the store has two values of an epoch",
    ),
    "an epoch that never was": (
        lambda: execute(
            "insert into metrics select key, 0.1, timestamp, run_uuid, 99, is_nan from metrics "
            "where key = 'loss' and step = 1"
        ),
        "metric loss of epoch 99: 0.1 in the store, None in plots/history",
    ),
    "what images were seen for": (
        lambda: execute("update input_tags set value = 'test' where value = 'training'"),
        "data set cifar10-train: .*test.* in the store",
    ),
    "the images that were seen": (
        lambda: execute("update datasets set digest = '0' where name = 'cifar10-train'"),
        "data set cifar10-train: \\('0', 'training'\\) in the store",
    ),
    "the run": (lambda: MlflowClient().delete_run(run_id()), "has no run"),
    "the run's end": (lambda: MlflowClient().set_terminated(run_id(), "KILLED"), "run \\w+: it is KILLED"),
    "the run's stage": (lambda: set_tag("dvc.stage", "train@another"), "has no run of ensemble"),
    "a param": (
        lambda: execute("update params set value = '21' where key = 'ensemble.rounds' and value = '20'"),
        "param ensemble.rounds: 21 in the store, 20 in ",
    ),
    "a metric": (
        lambda: execute("update latest_metrics set value = 1 where key = 'validation_top3'"),
        "metric validation_top3: 1.0 in the store",
    ),
    "the logged model's folder": (
        lambda: execute("update logged_models set artifact_location = 'file:///elsewhere'"),
        "version 1, location: .* its run logged file:///elsewhere",
    ),
    "a member": (lambda: MlflowClient().delete_run(run_id("custom_cnn")), "run \\w+: it was deleted in MLflow"),
}
