"""What the surroundings do is one line, whatever they do; a bug stays a traceback."""

import errno
import io
import os
import resource
import subprocess
import sys
import textwrap

import pytest

from pipeline.core import connection, environment, errors
from pipeline.core.errors import UserError, explain
from pipeline.serving import load
from tests.conftest import ROOT
from tests.console import ENVIRONMENT, pipeline

PROBE = ["unshare", "--user", "--map-user=12345", "--map-group=12345"]
NAMELESS = subprocess.run([*PROBE, "true"], capture_output=True).returncode == 0
needs_names = pytest.mark.skipif(not NAMELESS, reason="this system lets no user take another id")


def ends(code: str, *, before: tuple[str, ...] = (), **settings) -> subprocess.CompletedProcess:
    """Run a command with this code, as a stage is run."""
    script = f"from pipeline.core import errors\ndef main():\n{textwrap.indent(code, '    ')}\nerrors.run(main)\n"
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "env": ENVIRONMENT} | settings
    return subprocess.run([*before, sys.executable, "-c", script], text=True, **streams)


@pytest.mark.parametrize("number", sorted(errno.errorcode.keys() - {errno.EBADF}), ids=errno.errorcode.get)
def test_all_that_a_system_refuses_is_a_line_with_the_file(number):
    line = explain(OSError(number, os.strerror(number), "photos/cat.png"))
    assert line.startswith("photos/cat.png: ") and "\n" not in line
    assert errors.REFUSALS.get(number, os.strerror(number).lower()) in line


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (FileNotFoundError(errno.ENOENT, "no file", "models/x/model.json"), "models/x/model.json is missing: `dvc rep"),
        (FileNotFoundError(errno.ENOENT, "No file", "other"), "other: no file; correct the cause and run again"),
        (OSError(errno.EIO, "Input/output error", b"x\xff", None, b"y"), "x\udcff: the disk, or the connection to it"),
        (OSError(errno.ENOSPC, "No space left on device"), "the folder, or that of TMPDIR: the disk is full; free"),
        (OSError("Could not find a suitable TLS CA certificate bundle"), "Could not find a suitable TLS CA certific"),
        (OSError(), "OSError; correct the cause and run again"),
        (MemoryError(), "not enough memory; end other programs, or give smaller batches (no more)"),
        (RuntimeError("can't start new thread"), "can't start new thread; end other programs, or raise `ulimit -u`"),
        (RuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 8 bytes"), "not enough memory; end other programs"),
        (ModuleNotFoundError("x", name="keras.src"), "the package keras is not installed: activate .venv"),
    ],
    ids=repr,
)
def test_others_are_lines_too(error, told):
    assert explain(error).startswith(told)


@pytest.mark.parametrize(
    "error",
    [
        TypeError("x"),
        KeyError("x"),
        AssertionError(),
        ValueError("x"),
        ValueError("NO_SUCH_VARIABLE is odd"),
        RuntimeError("x"),
        RecursionError("x"),
        NotImplementedError(),
        AttributeError("x"),
        ImportError("cannot import name 'x' from 'keras'"),
        ModuleNotFoundError("x", name="pipeline.core.nothing"),
        UnicodeDecodeError("utf-8", b"\xff", 0, 1, "x"),
        OSError(errno.EBADF, "Bad file descriptor"),
        io.UnsupportedOperation("not writable"),
    ],
    ids=repr,
)
def test_a_bug_is_none(error):
    assert explain(error) is None


def test_a_bug_ends_with_its_traceback():
    ended = ends("{}['key']")
    assert ended.returncode == 1
    assert "Traceback" in ended.stderr and ended.stderr.endswith("KeyError: 'key'\n")


LIMITS = {
    "files": (
        "import tempfile; all = [tempfile.TemporaryFile() for _ in range(64)]",
        {resource.RLIMIT_NOFILE: 32},
        "too many open files; raise the limit (`ulimit -n 4096`)",
    ),
    "the size of a file": (
        "import pathlib; pathlib.Path('large').write_bytes(bytes(2048))",
        {resource.RLIMIT_FSIZE: 1024},
        "file too large; correct the cause and run again",
    ),
    "memory": ("bytearray(1 << 40)", {resource.RLIMIT_AS: 1 << 32}, "not enough memory; end other programs"),
}


@pytest.mark.fault("a limit of", chapter="surroundings")
@pytest.mark.parametrize(("code", "limits", "told"), LIMITS.values(), ids=LIMITS)
def test_a_limit_is_one_line(code, limits, told, tmp_path, record_property):
    def limit() -> None:
        for kind, most in limits.items():
            resource.setrlimit(kind, (most, most))

    ended = ends(code, preexec_fn=limit, cwd=tmp_path)
    assert (ended.returncode, ended.stderr.count("\n")) == (1, 1), ended.stderr
    assert ended.stderr.startswith("error: ") and told in ended.stderr
    record_property("seen", ended.stderr)


@pytest.mark.fault("an output that", chapter="surroundings")
@pytest.mark.parametrize("output", ["is full", "nobody reads"])
def test_an_output_that_takes_nothing_is_one_line(output, record_property):
    reading, writing = os.pipe()
    os.close(reading)
    with open("/dev/full" if output == "is full" else writing, "w") as stdout:  # noqa: PTH123
        ended = ends("print('a line')", stdout=stdout)
    told = "the disk is full" if output == "is full" else "what reads the output has ended"
    assert (ended.returncode, ended.stderr.count("\n")) == (1, 1), ended.stderr
    assert ended.stderr.startswith("error: ") and told in ended.stderr
    record_property("seen", ended.stderr)


def test_what_cannot_be_encoded_is_written_all_the_same():
    ended = ends("print('caf\\xe9')", env=ENVIRONMENT | {"PYTHONIOENCODING": "ascii"})
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "caf\\xe9\n", "")


@pytest.mark.fault("a `grep` that cannot be started", chapter="surroundings")
def test_a_grep_that_cannot_be_started_is_one_line(tmp_path):
    (tmp_path / "grep").write_bytes(b"\0")
    (tmp_path / "grep").chmod(0o755)
    ended = ends("print('work')", env=ENVIRONMENT | {"PATH": f"{tmp_path}:{os.environ['PATH']}"})
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr == f"error: {tmp_path}/grep: exec format error; correct the cause and run again\n"


@needs_names
@pytest.mark.fault("a user id without a name and a home", chapter="surroundings")
@pytest.mark.parametrize("home", [None, pytest.param("/proc", marks=pytest.mark.slow)])
def test_a_user_without_a_name_promotes(home, store):
    from mlflow import MlflowClient

    from pipeline.registry import promotion

    MlflowClient().create_registered_model("cifar10-classifier")
    MlflowClient().create_model_version("cifar10-classifier", "/nowhere")
    variables = {key: value for key, value in ENVIRONMENT.items() if key not in ("HOME", "LOGNAME", "USER", "LNAME")}
    variables |= {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull} | ({"HOME": home} if home else {})
    command = [*PROBE, sys.executable, "-m", "pipeline", "promote", "1", "--why", "a test"]
    ended = subprocess.run(command, env=variables, capture_output=True, text=True)
    assert (ended.returncode, ended.stderr) == (0, ""), ended.stderr
    assert [entry["who"] for entry in promotion.settle("cifar10-classifier").entries] == ["12345"]


@needs_names
def test_libraries_find_a_name_and_a_home_of_a_user_without_them():
    variables = {key: value for key, value in ENVIRONMENT.items() if key not in ("HOME", "LOGNAME", "USER", "LNAME")}
    code = "import getpass, pathlib\nprint(getpass.getuser(), pathlib.Path.home())"
    assert ends(code, before=tuple(PROBE), env=variables).stdout == "12345 /\n"
    # `dvc repro` is not of ours, and asks as well
    make = ["make", "--silent", "--eval", "who: ; @echo $$LOGNAME $$HOME", "who"]
    ended = subprocess.run([*PROBE, *make], cwd=ROOT, env=variables, capture_output=True, text=True)
    assert ended.stdout == "12345 /\n", ended.stderr


@pytest.mark.fault("a variable that MLflow does not take", chapter="surroundings")
@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("MLFLOW_LOGGING_LEVEL", "loud"),
        pytest.param("MLFLOW_CONFIGURE_LOGGING", "maybe", marks=pytest.mark.slow),
        pytest.param("MLFLOW_SQLALCHEMYSTORE_POOL_SIZE", "x", marks=pytest.mark.slow),
    ],
)
def test_a_variable_that_mlflow_does_not_take_is_named(variable, value, store, record_property):
    told = pipeline("history", cwd=".", **{variable: value})
    assert (told.returncode, told.stdout, told.stderr.count("\n")) == (1, "", 1), told.stderr
    assert told.stderr.startswith("error: ") and told.stderr.endswith(f": correct {variable}, or unset it\n")
    record_property("seen", told.stderr)


@pytest.mark.fault("certificates that are nowhere", chapter="surroundings")
@pytest.mark.parametrize("variable", connection.BUNDLES)
def test_certificates_that_are_nowhere_are_said_before_any_work(variable, monkeypatch, tmp_path, record_property):
    monkeypatch.setenv(variable, str(tmp_path / "nowhere.pem"))
    with pytest.raises(UserError) as caught:
        environment.check()
    told = str(caught.value).replace(str(tmp_path), "")
    assert told == f"{variable}: /nowhere.pem does not exist: name a file with certificates (PEM), or unset it"
    record_property("seen", told)


@pytest.mark.parametrize("backend", ["torch", "nonsense"])
def test_a_model_file_with_another_backend_is_a_users_error(backend, monkeypatch, tmp_path):
    (tmp_path / "model.keras").touch()
    monkeypatch.setenv(environment.BACKEND, backend)
    with pytest.raises(UserError, match=f"KERAS_BACKEND: {backend} is not for this project: give tensorflow or jax"):
        load.load(str(tmp_path / "model.keras"))


@pytest.mark.slow
def test_a_gpu_that_is_full_is_a_users_error():
    import tensorflow as tf

    with pytest.raises(tf.errors.ResourceExhaustedError) as caught:
        tf.zeros((1 << 46,)) + 1
    assert "not enough memory; end other programs, or give smaller batches (" in explain(caught.value)
