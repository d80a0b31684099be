"""The whole graph, really run on a small part of the real data, and what it left."""

import json
import re
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipeline.data import cifar10
from tests.workspace import MODEL


def test_data_is_stratified_and_reported(workspace):
    report = workspace.read("reports/data.json")
    assert report["classes"]["train"] == dict.fromkeys(cifar10.CLASSES, 200)
    assert report["classes"]["validation"] == dict.fromkeys(cifar10.CLASSES, 30)
    assert set(report["identical_images"]) == {"within_train", "train_validation", "train_test", "validation_test"}
    assert (workspace.folder / "plots/pictures/samples.png").stat().st_size > 10_000


def test_every_candidate_has_its_figures_or_the_reason_why_not(workspace, metrics):
    scored = {name for name, figures in metrics.items() if "skipped" not in figures}
    assert scored >= {"custom_cnn", "efficientnet_lite0", "ensemble"}
    for name, figures in metrics.items():
        if name in scored:
            for split in ("validation", "test"):
                assert 0.1 < figures[split]["accuracy_low"] < figures[split]["accuracy"] <= 1
                assert {"nll", "ece", "top3", "macro_f1"} <= set(figures[split])
            pictures = {path.name for path in (workspace.folder / "plots/evaluation" / name).iterdir()}
            tables = {path.name for path in (workspace.folder / "reports" / name).iterdir()}
            assert {"confusion.png", "mistakes.png"} <= pictures
            more = {"paired.csv", "helps.csv"} if name == "ensemble" else set()
            assert tables == {"confusion.csv", "counts.csv", "report.csv", "reliability.csv", "mistakes.csv"} | more
            assert workspace.read(f"records/evaluate/{name}.json")["spent"]["cpu_seconds"] > 0
        else:
            assert list(figures) == ["skipped"]
            assert f"{name} was skipped: {figures['skipped']}" in workspace.output
    assert metrics["efficientnet_lite0"]["test"]["accuracy"] > 0.3  # from 2,000 images of 48 pixels, chance being 0.1


def test_the_tables_agree_with_the_figures(workspace, metrics):
    scored = [name for name, figures in metrics.items() if "skipped" not in figures]
    reports = workspace.folder / "reports"
    labels = np.load(workspace.folder / "data/test/labels.npy")
    right = {}
    for name in scored:
        rows = pd.read_csv(reports / name / "reliability.csv")
        ece = ((rows["confidence"] - rows["accuracy"]).abs() * rows["images"]).sum() / rows["images"].sum()
        assert metrics[name]["test"]["ece"] == pytest.approx(ece, abs=1e-12)
        file = f"predictions/{name}/test.npy" if name != "ensemble" else "ensemble/test.npy"
        right[name] = np.load(workspace.folder / file).argmax(axis=1) == labels
        for row in pd.read_csv(reports / name / "mistakes.csv").itertuples():
            assert (row.label, right[name][row.image]) == (cifar10.CLASSES[labels[row.image]], False)
    paired = pd.read_csv(reports / "ensemble/paired.csv")
    assert len(paired) == len(scored) * (len(scored) - 1) / 2
    for row in paired.itertuples():
        assert row.better == (right[row.first] & ~right[row.second]).sum()
    against = metrics["ensemble"]["against_best_member"]
    helps = pd.read_csv(reports / "ensemble/helps.csv")
    assert (helps["helped"].sum(), helps["harmed"].sum()) == (against["better"], against["worse"])


def test_the_runs_line_up_and_hold_what_the_ui_shows(workspace, metrics):
    runs = workspace.runs().set_index("tags.mlflow.runName")
    assert set(runs.index) == {name for name, figures in metrics.items() if "skipped" not in figures}
    assert set(runs["status"]) == {"FINISHED"}
    for name in runs.index:
        assert runs.loc[name, "metrics.test_accuracy"] == metrics[name]["test"]["accuracy"]
        assert re.fullmatch("[0-9a-f]{40}", runs.loc[name, "tags.git.commit"])
        artifacts = {file.path for file in workspace.client.list_artifacts(runs.loc[name, "run_id"])}
        assert {"confusion.png", "mistakes.png", "report.csv", "reliability.csv", "inputs.json"} <= artifacts
        if name != "ensemble":
            record = workspace.read(f"records/train/{name}.json")
            assert runs.loc[name, "metrics.cpu_seconds"] == record["cpu_seconds"]
            assert set(record["versions"]) >= {"tensorflow", "keras", "numpy"}
    cnn = runs.loc["custom_cnn"]
    assert cnn["tags.dvc.stage"] == "train@custom_cnn"
    assert re.fullmatch("[0-9a-f]{64}", cnn["tags.inputs"])
    assert not [key for key in runs.columns if key.startswith("tags.dep.")]
    epochs = workspace.client.get_metric_history(cnn["run_id"], "val_accuracy")
    assert [metric.step for metric in epochs] == [1, 2]
    inputs = workspace.client.get_run(cnn["run_id"]).inputs.dataset_inputs
    assert {entry.dataset.name for entry in inputs} == {"cifar10-train", "cifar10-validation", "cifar10-test"}
    vote = json.loads(
        Path(workspace.client.download_artifacts(runs.loc["ensemble", "run_id"], "vote.json")).read_text()
    )
    assert vote["weights"] == workspace.read("ensemble/model.json")["weights"]


def test_what_a_costly_stage_writes_names_no_time_run_commit_or_path(workspace):
    commit = workspace.git("rev-parse", "HEAD").strip()
    files = [*(workspace.folder / "models").rglob("*.*"), *(workspace.folder / "ensemble").rglob("*.*")]
    files += (workspace.folder / "plots/history").iterdir()
    runs = [found.info.run_id for found in workspace.client.search_runs(["1"])]
    for path in filter(Path.is_file, files):
        content = path.read_bytes()
        for hidden in (commit, str(workspace.folder), *runs, time.strftime("%Y-%m-%d")):
            assert hidden.encode() not in content, path


def test_the_best_on_validation_is_champion_with_the_gates_evidence(workspace, metrics):
    decision = workspace.read("registry.json")
    scores = {name: figures["validation"]["accuracy"] for name, figures in metrics.items() if "skipped" not in figures}
    assert decision["candidates"] == scores
    assert scores[decision["candidate"]] == max(scores.values())
    version = workspace.client.get_model_version_by_alias(MODEL, "champion")
    assert (str(version.version), version.current_stage) == ("1", "Production")
    assert version.tags["model.fingerprint"] == decision["tags"]["model.fingerprint"]
    assert len(version.tags) <= 6
    assert float(version.tags["test_accuracy"]) == pytest.approx(
        metrics[decision["candidate"]]["test"]["accuracy"], abs=1e-6
    )
    assert (decision["gate"]["promote"], version.tags["gate"]) == (True, "no champion yet, within all limits")
    assert {"promotion.json", "validation.npy"} <= {f.path for f in workspace.client.list_artifacts(version.run_id)}


def test_the_best_and_a_small_model_are_exported_and_the_small_one_has_the_alias(workspace, metrics):
    rows, decision = workspace.read("reports/exports.json"), workspace.read("registry.json")
    edge = workspace.read("reports/edge.json")
    assert {row["candidate"] for row in rows} == {decision["candidate"], edge["candidate"]}
    assert len(rows) == 4 * len({row["candidate"] for row in rows})
    for row in rows:
        parts = row["role"].split(" and ")
        assert ("best" in parts, "edge" in parts) == (
            row["candidate"] == decision["candidate"],
            row["candidate"] == edge["candidate"],
        )
        run = workspace.exports(workspace.run(row["candidate"]).info.run_id)[
            f"export-{row['format']}-{row['precision']}"
        ]
        assert run.info.status == "FINISHED"
        files = [file.path for file in workspace.client.list_artifacts(run.info.run_id)]
        if row["shipped"]:
            assert files == [(workspace.folder / row["file"]).name]
            assert row["size_mb"] == (workspace.folder / row["file"]).stat().st_size / 1e6
        else:
            assert (files, row["file"], bool(row["reasons"])) == ([], None, True)
        if row["precision"] == "float32":
            assert row["agreement"] > 0.99
            assert row["shipped"]
        assert row["keras_accuracy"] == pytest.approx(metrics[row["candidate"]]["validation"]["accuracy"], abs=0.1)
    version = workspace.client.get_model_version_by_alias(MODEL, "edge")
    assert (str(version.version), version.tags["candidate"]) == (edge["version"], edge["candidate"])
    assert metrics[edge["candidate"]]["cost"]["size_mb"] <= metrics[decision["candidate"]]["cost"]["size_mb"]
    assert workspace.candidates() == {row["candidate"] for row in rows}


def test_the_outcome_is_printed(workspace):
    assert "promoted: no champion yet" in workspace.output
    assert f"models:/{MODEL}@champion" in workspace.output
    assert "make ui" in workspace.output


def test_metrics_plots_and_params_can_be_compared(workspace):
    shown = json.loads(workspace.dvc("metrics", "show", "--json").stdout)
    assert shown[""]["data"]["metrics/custom_cnn.json"]["data"]["test"]["accuracy"] > 0
    assert workspace.dvc("params", "diff").returncode == 0
    plots = workspace.dvc("plots", "show")
    assert plots.returncode == 0, plots.stderr
    page = (workspace.folder / "dvc_plots/index.html").read_text()
    assert "accuracy against epochs" in page
    assert "confusion matrices" in page


def test_a_skipped_architecture_does_not_break_the_plots(workspace):
    workspace.git("add", "--all")
    workspace.git("commit", "--quiet", "-m", "What the run left")
    for arguments in (["show"], ["diff", "HEAD"]):
        result = workspace.dvc("plots", *arguments, "--json")
        assert (result.returncode, "failed" in result.stderr) == (0, False), result.stderr
        plots = json.loads(result.stdout)
        assert "errors" not in plots
        assert plots["data"]["plots/history/resnet50v2.csv"] == []


def test_the_champion_loads_where_this_package_is_not_and_gives_the_recorded_accuracy(workspace, metrics):
    code = (
        "import os, sys, mlflow, numpy as np\n"
        "sys.modules['pipeline'] = None  # whoever imports it fails\n"
        "images, labels = np.load(sys.argv[1] + '/images.npy'), np.load(sys.argv[1] + '/labels.npy')\n"
        "by_stage, by_alias = [mlflow.pyfunc.load_model(uri).predict(images) for uri in sys.argv[2:]]\n"
        "assert np.array_equal(by_stage, by_alias)\n"
        "assert np.allclose(by_stage.sum(axis=1), 1, atol=1e-5)\n"
        "print('accuracy', (by_stage.argmax(axis=1) == labels).mean())\n"
    )
    environment = workspace.environment | {"MLFLOW_TRACKING_URI": workspace.store}
    addresses = [f"models:/{MODEL}/Production", f"models:/{MODEL}@champion"]
    command = [sys.executable, "-I", "-c", code, str(workspace.folder / "data/test"), *addresses]
    result = subprocess.run(command, cwd="/", env=environment, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    winner = workspace.read("registry.json")["candidate"]
    assert float(result.stdout.split("accuracy ")[-1]) == metrics[winner]["test"]["accuracy"]
