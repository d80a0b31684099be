"""Stages `find` and `weights`: a file known by its checksum, or the record of why there is none."""

import hashlib
import json
import socket

import pytest
import yaml

from pipeline.core import paths
from pipeline.core.errors import UserError
from pipeline.core.files import read_json, write_json
from pipeline.core.schema import Params, WeightsFile
from pipeline.data import manifest
from pipeline.data import weights as pretrained
from pipeline.stages import weights
from tests.conftest import ROOT
from tests.misbehaving import sending, serving, status

NAME = "mobilenetv2"
FILE = "small.weights.h5"
CONTENT = b"weights of a network"
OTHER = b"weights of another network"


@pytest.fixture(autouse=True)
def workplace(tmp_path, monkeypatch):
    monkeypatch.delenv(pretrained.ENVIRONMENT, raising=False)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def closed():
    """URL of a port at which nobody listens."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{bound.getsockname()[1]}/{FILE}"


@pytest.fixture
def configured(checked):
    """The project's params with one small weights file; without a URL unless one is given."""

    def configure(url: str | None = None, on_unreachable: str = "skip", algorithm: str = "sha256"):
        digest = {algorithm: hashlib.new(algorithm, CONTENT).hexdigest()}
        entry = WeightsFile(file=FILE, origin="a test", official=False, url=url, **digest)
        model = checked.models[NAME].model_copy(update={"weights": [entry]})
        return checked.model_copy(
            update={
                "models": checked.models | {NAME: model},
                "http": checked.http.model_copy(update={"retries": 0}),
                "weights": checked.weights.model_copy(update={"on_unreachable": on_unreachable}),
            }
        )

    return configure


@pytest.fixture
def given(tmp_path):
    """Puts a file into the folder of params.yaml."""

    def give(content: bytes):
        (tmp_path / "weights").mkdir()
        (tmp_path / "weights" / FILE).write_bytes(content)

    return give


def obtain(name: str, params: Params) -> None:
    """What stages `find` and `weights` do."""
    found = pretrained.find(name, params)
    write_json(paths.FOUND / f"{name}.json", found)
    weights.install(name, found, params)


def left() -> list[str]:
    """Names of what the stage left."""
    folder = paths.WEIGHTS / NAME
    return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []


def test_a_network_trained_from_scratch_has_status_none(checked):
    obtain("custom_cnn", checked)
    assert manifest.read("custom_cnn") == {"status": "none", "origin": "trained from scratch"}


@pytest.mark.parametrize("algorithm", ["sha256", "md5"])
def test_a_file_in_the_folder_with_the_right_checksum_is_copied(algorithm, configured, given):
    given(CONTENT)
    obtain(NAME, configured(algorithm=algorithm))
    assert manifest.read(NAME) == {
        "status": "ready",
        "file": FILE,
        "sha256": hashlib.sha256(CONTENT).hexdigest(),
        "origin": "a test",
        "official": False,
    }
    assert left() == ["manifest.json", FILE]
    assert manifest.weights_path(NAME).read_bytes() == CONTENT


def test_the_folder_of_the_environment_goes_before_the_one_of_params(configured, given, tmp_path, monkeypatch):
    given(OTHER)  # would be refused
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / FILE).write_bytes(CONTENT)
    monkeypatch.setenv(pretrained.ENVIRONMENT, str(tmp_path / "elsewhere"))
    obtain(NAME, configured())
    assert manifest.weights_path(NAME).read_bytes() == CONTENT


def test_another_networks_file_under_the_expected_name_is_refused(configured, given):
    given(OTHER)
    with pytest.raises(UserError) as caught:
        obtain(NAME, configured())
    message = str(caught.value)
    assert len(message.splitlines()) == 1
    assert f"weights/{FILE}" in message
    assert hashlib.sha256(OTHER).hexdigest() in message
    assert hashlib.sha256(CONTENT).hexdigest() in message
    assert left() == []


def test_a_refused_file_lets_the_others_be_found(checked, tmp_path):
    entry = checked.models["mobilenetv2"].weights[0]
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / entry.file).write_bytes(OTHER)
    found = pretrained.find("mobilenetv2", checked)
    assert found["status"] == "refused"
    with pytest.raises(UserError, match=entry.file):
        weights.install("mobilenetv2", found, checked)
    (tmp_path / "weights" / checked.models["resnet50v2"].weights[0].file).write_bytes(OTHER)
    assert pretrained.find("resnet50v2", checked)["status"] == "refused"
    obtain("custom_cnn", checked)


def test_unreachable_weights_are_skipped_with_the_same_bytes_each_time(configured, closed, tmp_path):
    obtain(NAME, configured(closed))
    first = (paths.WEIGHTS / NAME / "manifest.json").read_bytes()
    assert json.loads(first)["status"] == "skipped"
    obtain(NAME, configured(closed.replace(FILE, "moved/" + FILE)))  # unreachable for words of its own
    assert (paths.WEIGHTS / NAME / "manifest.json").read_bytes() == first
    assert left() == ["manifest.json"]


def test_weights_that_were_unreachable_the_last_time_are_asked_for_once(configured, closed, capsys):
    settings = configured(closed)
    insistent = settings.model_copy(update={"http": settings.http.model_copy(update={"retries": 2, "backoff": 0.01})})
    obtain(NAME, insistent)
    assert capsys.readouterr().out.count("trying again") == 2
    obtain(NAME, insistent)
    assert capsys.readouterr().out.count("trying again") == 0


def test_the_stage_lists_the_architectures_of_params_and_no_others(run_stage, tmp_path):
    tree = yaml.safe_load((ROOT / "params.yaml").read_text())
    tree["models"] = {"custom_cnn": tree["models"]["custom_cnn"]}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(tree))
    write_json(paths.FOUND / "removed.json", {"status": "none"})
    result = run_stage("find")
    assert result.returncode == 0, result.stderr
    assert sorted(path.name for path in paths.FOUND.iterdir()) == ["architectures.json", "custom_cnn.json"]
    assert read_json(paths.ARCHITECTURES) == ["custom_cnn"]


def test_unreachable_weights_fail_if_params_say_so(configured, closed):
    with pytest.raises(UserError) as caught:
        obtain(NAME, configured(closed, on_unreachable="fail"))
    assert len(str(caught.value).splitlines()) == 1
    assert FILE in str(caught.value)
    assert pretrained.ENVIRONMENT in str(caught.value)


def test_a_file_obtained_before_is_kept_without_a_download(configured, given, closed, tmp_path, capsys):
    given(CONTENT)
    obtain(NAME, configured(closed))
    (tmp_path / "weights" / FILE).unlink()
    before = (paths.WEIGHTS / NAME / FILE).stat()
    obtain(NAME, configured(closed, on_unreachable="fail"))
    after = (paths.WEIGHTS / NAME / FILE).stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert manifest.read(NAME)["status"] == "ready"
    assert "127.0.0.1" not in capsys.readouterr().out


def test_a_file_that_has_gone_since_it_was_found_leaves_what_was_installed(configured, given, tmp_path):
    (paths.WEIGHTS / NAME).mkdir(parents=True)
    (paths.WEIGHTS / NAME / "older.h5").write_bytes(OTHER)
    given(CONTENT)
    found = pretrained.find(NAME, configured())
    (tmp_path / "weights" / FILE).unlink()
    with pytest.raises(UserError, match="no longer where it was found"):
        weights.install(NAME, found, configured())
    assert left() == ["older.h5"]


def test_a_file_of_other_weights_obtained_before_is_taken_away(configured, closed):
    (paths.WEIGHTS / NAME).mkdir(parents=True)
    (paths.WEIGHTS / NAME / FILE).write_bytes(OTHER)
    (paths.WEIGHTS / NAME / "older.h5").write_bytes(OTHER)
    obtain(NAME, configured(closed))
    assert manifest.read(NAME)["status"] == "skipped"
    assert left() == ["manifest.json"]


def test_an_environment_variable_that_names_no_folder_is_refused(configured, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv(pretrained.ENVIRONMENT, str(tmp_path / "file"))
    with pytest.raises(UserError, match=f"{pretrained.ENVIRONMENT}.*not a folder"):
        obtain(NAME, configured())


@pytest.mark.parametrize("harm", ["damaged", "missing"])
def test_obtained_weights_are_verified_again_before_use(harm, configured, given):
    given(CONTENT)
    obtain(NAME, configured())
    path = manifest.weights_path(NAME)
    if harm == "damaged":
        path.write_bytes(OTHER)
    else:
        path.unlink()
    with pytest.raises(UserError, match=f"dvc repro --force weights@{NAME}"):
        manifest.weights_path(NAME)


@pytest.mark.parametrize("content", [CONTENT, OTHER, None])
def test_a_mirror_is_asked_first_and_its_file_must_be_the_right_one(content, configured, closed):
    params = configured(closed)
    with serving(sending(content) if content else status(404)) as (url, asked):
        mirrors = {"mirrors": [url.removesuffix("file.bin")]}
        params = params.model_copy(update={"weights": params.weights.model_copy(update=mirrors)})
        found = pretrained.find(NAME, params)
    assert len(asked) == 1
    assert found["status"] == {CONTENT: "ready", OTHER: "refused", None: "skipped"}[content]
    assert (paths.DOWNLOADS / FILE).exists() == (content == CONTENT)
