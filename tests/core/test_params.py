"""params.yaml, its schema and the README agree; a mistake in it is one clear line before any work."""

import itertools
import re
import subprocess
import sys
from pathlib import Path

import hydra
import pytest
import yaml
from omegaconf import OmegaConf

from pipeline.core import params, paths, schema
from pipeline.core.files import read_yaml
from pipeline.core.params import UserError
from pipeline.models import custom_cnn
from tests.conftest import ROOT
from tools import profiles

YAML = (ROOT / "params.yaml").read_text()

MISTAKES = {
    "unknown key": (["seeds"], 1, "seeds: unknown key"),
    "unknown nested key": (
        ["models", "custom_cnn", "training", "epoch"],
        3,
        ": models.custom_cnn.training.epoch: unknown key",
    ),
    "wrong type": (["models", "mobilenetv2", "training", "epochs"], "ten", ": models.mobilenetv2.training.epochs: "),
    "number for text": (["registry", "model"], 7, "registry.model"),
    "out of range": (["models", "mobilenetv2", "training", "dropout"], 1.5, ": models.mobilenetv2.training.dropout: "),
    "zero epochs": (["models", "custom_cnn", "training", "epochs"], 0, ": models.custom_cnn.training.epochs: "),
    "unknown choice": (["weights", "on_unreachable"], "ignore", "weights.on_unreachable"),
    "bad checksum": (["models", "resnet50v2", "weights", 0, "md5"], "abc", ": models.resnet50v2.weights.0.md5: "),
    "mistyped key, also missing": (["models", "custom_cnn", "training"], {"epoch": 3}, "training.epoch: unknown key"),
    "a profile elsewhere": (["profile"], "../../x", "profile: "),
    "a path that is none": (["weights", "folder"], "a\0b", "weights.folder: "),
    "bins without end": (["evaluation", "ece_bins"], 10**12, "evaluation.ece_bins: "),
    "resamples without end": (["gate", "resamples"], 10**12, "gate.resamples: "),
    "a network without end": (["models", "custom_cnn", "network", "widths"], [10**9] * 3, "network.widths.0: "),
    "infinite": (["http", "backoff"], float("inf"), "http.backoff"),
    "model name that MLflow refuses": (["registry", "model"], "a/b", "registry.model"),
    "small above whole": (
        ["models", "custom_cnn", "training", "small"],
        40,
        ": models.custom_cnn: Value error, training.small",
    ),
    "a key of another method": (["models", "custom_cnn", "training", "ema"], 0.5, "training.ema: unknown key"),
    "cut, moved images": (["models", "mobilenetv2", "training", "shift"], 2, "training.shift: unknown key"),
    "an unknown method": (["models", "mobilenetv2", "method"], "guess", "models.mobilenetv2: Input tag 'guess'"),
    "no network": (["models", "mobilenetv2", "network"], None, ": models.mobilenetv2.network: missing"),
    "a network of another module": (
        ["models", "custom_cnn", "network", "layers"],
        3,
        "models.custom_cnn.network.layers: unknown key",
    ),
}


def changed(keys: list, value) -> str:
    tree = yaml.safe_load(YAML)
    place = tree
    for key in keys[:-1]:
        place = place[key]
    place[keys[-1]] = value
    return yaml.safe_dump(tree)


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_named_in_one_line(mistake, tmp_path):
    keys, value, message = MISTAKES[mistake]
    path = tmp_path / "params.yaml"
    path.write_text(changed(keys, value))
    with pytest.raises(UserError) as error:
        params.load(path)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["custom_cnn", "mobilenetv2"])
def test_an_architecture_whose_module_is_not_for_the_method_is_named(name, tmp_path):
    models = yaml.safe_load(YAML)["models"]
    other = models["mobilenetv2" if name == "custom_cnn" else "custom_cnn"]
    path = tmp_path / "params.yaml"
    path.write_text(changed(["models", name], other))
    with pytest.raises(UserError, match=rf"models.{name}.method: pipeline/models/{name}.py is not for \w+: give "):
        params.load(path)


def test_a_module_that_declares_no_network_takes_none(tmp_path, monkeypatch):
    monkeypatch.delattr(custom_cnn, "Network")
    path = tmp_path / "params.yaml"
    path.write_text(changed(["models", "custom_cnn", "network"], {}))
    assert params.load(path).models["custom_cnn"].network == {}
    path.write_text(changed(["models", "custom_cnn", "network"], {"widths": [1, 2, 3]}))
    with pytest.raises(UserError, match=r"models.custom_cnn.network.widths: unknown key"):
        params.load(path)


def test_params_are_checked_without_keras():
    code = "import sys; from pipeline.core import params; params.load(); print('keras' in sys.modules)"
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert result.stdout == "False\n"


def test_numbers_as_dvc_writes_them_are_numbers(tmp_path):
    """`dvc exp run -S` writes 0.00001 as 1e-05, which is text in YAML 1.1."""
    path = tmp_path / "params.yaml"
    path.write_text(YAML.replace("weight_decay: 0.0001", "weight_decay: 1e-05"))
    assert params.load(path).models["mobilenetv2"].training.weight_decay == 1e-5


def test_a_missing_key_is_named(tmp_path):
    path = tmp_path / "params.yaml"
    path.write_text(YAML.replace("seed: 0", "", 1))
    with pytest.raises(UserError, match="seed: missing"):
        params.load(path)


def test_an_unknown_architecture_is_named_with_the_known_ones(tmp_path):
    path = tmp_path / "params.yaml"
    path.write_text(changed(["models", "vgg16"], yaml.safe_load(YAML)["models"]["custom_cnn"]))
    with pytest.raises(UserError, match=r"models.vgg16: unknown: add pipeline/models/vgg16.py, or name one of custom"):
        params.load(path)


@pytest.mark.parametrize(
    "stage", ["download", "prepare", "weights custom_cnn", "train custom_cnn", "promote", "export", "report", "page"]
)
def test_every_stage_stops_before_any_work(stage, run_stage, tmp_path):
    (tmp_path / "params.yaml").write_text(changed(["sede"], 1))
    result = run_stage(*stage.split())
    assert result.returncode == 1
    assert result.stderr == "error: params.yaml: sede: unknown key; correct or remove it\n"
    assert [path.name for path in tmp_path.iterdir()] == ["params.yaml"]


HOSTILE = {
    "lists without end": "[" * 100_000,
    "a call": '!!python/object/apply:os.system ["touch canary"]',
    "a billion laughs": "a: &a [x, x]\n"
    + "".join(f"{b}: &{b} [{', '.join([f'*{a}'] * 9)}]\n" for a, b in itertools.pairwise("abcdefghij")),
    "a list in itself": "&a [*a]",
    "a number of 10,000 digits": "seed: " + "9" * 10_000,
    "a day that never was": "seed: 2001-02-30",
    "a key that moves the cursor": '"\\e[2J\\n": 1',
}


@pytest.mark.fault("in params.yaml")
@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_yaml_is_one_line_and_runs_nothing(kind, tmp_path, monkeypatch, record_property):
    monkeypatch.chdir(tmp_path)
    Path("params.yaml").write_text(HOSTILE[kind])
    with pytest.raises(UserError, match=r"^params\.yaml") as caught:
        params.load()
    assert str(caught.value).isprintable()
    assert not Path("canary").exists()
    record_property("seen", str(caught.value))


def test_broken_yaml_and_a_missing_file_are_one_line(tmp_path):
    path = tmp_path / "params.yaml"
    with pytest.raises(UserError, match="not found: run from the repository's root"):
        params.load(path)
    path.write_text("seed: [1,\n")
    with pytest.raises(UserError, match="not valid YAML"):
        params.load(path)
    path.write_bytes("# café\n".encode("latin-1"))
    with pytest.raises(UserError, match="not text in UTF-8"):
        params.load(path)
    with pytest.raises(UserError, match="is a folder"):
        params.load(tmp_path)


def test_params_are_frozen(checked):
    with pytest.raises(ValueError, match="frozen"):
        checked.seed = 1


def test_every_architecture_has_an_entry(checked):
    assert sorted(checked.models) == params.architectures()


def test_every_knob_has_its_meaning_beside_it():
    """Each scalar outside `models` has a comment on its line; the models' keys are explained once, above them."""
    general, _, models = YAML.partition("\nmodels:\n")
    models, _, rest = models.partition("\nevaluation:")
    for line in (general + "\nevaluation:" + rest).splitlines():
        if re.match(r"\s*(- )?\w+: \S", line) and not re.match(r"\s*(url|path|package):", line):
            assert "#" in line or "subset" in line or line.strip() in ("train: null", "test: null"), line
    sections = [schema.ScratchTraining, schema.TransferTraining, schema.FinetuneTraining]
    sections += [schema.TransferNetwork, schema.FinetuneNetwork, custom_cnn.Network]
    for name in {name for section in sections for name in section.model_fields}:
        assert re.search(rf"# +(\w+, )?{name}[ ,]", models), f"say above the models in params.yaml what {name} is"


def test_the_readmes_links_and_profiles_are_there():
    readme = (ROOT / "README.md").read_text()
    for link in re.findall(r"\]\(([^)#]+)\)", readme):
        assert "://" in link or (ROOT / link).exists(), link
    for profile in re.findall(r"profile=(\w+)", readme):
        assert (ROOT / f"conf/profile/{profile}.yaml").is_file(), profile


def test_the_readme_and_the_code_name_the_same_environment_variables():
    named = set(re.findall(r"`((?:CIFAR10|MLFLOW)_[A-Z_0-9]+)", (ROOT / "README.md").read_text()))
    source = "".join(path.read_text() for path in (ROOT / "pipeline").rglob("*.py"))
    assert named == set(re.findall(r'"((?:CIFAR10|MLFLOW)_[A-Z_0-9]+)"', source))


@pytest.mark.parametrize("profile", sorted(path.stem for path in (ROOT / "conf/profile").glob("*.yaml")))
def test_a_profile_is_laid_over_params_as_dvc_does_it(profile, tmp_path, monkeypatch, checked):
    """`dvc exp run -S profile=NAME` composes conf/ with Hydra, and writes the outcome to params.yaml."""
    monkeypatch.chdir(ROOT)
    with hydra.initialize_config_dir(str(ROOT / "conf"), version_base=None):
        composed = OmegaConf.to_yaml(hydra.compose("config", [f"profile={profile}"]))
    path = tmp_path / "params.yaml"
    path.write_text(composed)
    by_hydra = params.load(path)
    assert by_hydra.profile == profile
    assert (by_hydra == checked) == (profile == "default")
    assert params.checked(profiles.laid_over(read_yaml(paths.PARAMS), profile), path) == by_hydra


def test_a_profile_that_changes_what_is_not_there_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(profiles, "FOLDER", tmp_path)
    (tmp_path / "fast.yaml").write_text(yaml.safe_dump({"sed": 1}))
    with pytest.raises(UserError, match=r"sed is not in params.yaml"):
        profiles.laid_over(read_yaml(ROOT / "params.yaml"), "fast")


def test_a_profile_may_give_an_architecture_another_method(tmp_path, monkeypatch):
    monkeypatch.setattr(profiles, "FOLDER", tmp_path)
    keys = {"first_layer": 1.0, "ema": 0.0, "shift": 0, "cutmix": 0.0, "small": 32, "small_share": 0.0}
    network = {"resolution": 64, "cut": None, "views": None, "shift": None}
    entry = {"method": "finetune", "network": network, "training": keys}
    (tmp_path / "whole.yaml").write_text(yaml.safe_dump({"models": {"mobilenetv2": entry}}))
    values = profiles.laid_over(read_yaml(ROOT / "params.yaml"), "whole")
    assert values["models"]["mobilenetv2"]["network"] == {"resolution": 64}
    assert params.checked(values, tmp_path).models["mobilenetv2"].method == "finetune"


def test_a_profile_may_change_an_architecture_that_was_taken_out(monkeypatch):
    monkeypatch.chdir(ROOT)
    values = read_yaml(ROOT / "params.yaml")
    del values["models"]["resnet50v2"]
    assert "resnet50v2" not in profiles.laid_over(values, "gpu")["models"]
