"""A batch of the Python version is read as its pixels and labels, and nothing that a pickle names is ever run."""

import pickle
import pickletools
import subprocess
import sys

import numpy as np
import pytest

from drills.files import Touch
from pipeline.data import pickle_batch
from pipeline.data.download import Unreachable
from tests import pickle_bombs, python_version
from tests.conftest import ROOT


@pytest.fixture(scope="module")
def planes(raw) -> tuple[np.ndarray, list[int]]:
    return python_version.batch(raw / "test_batch.bin")


@pytest.fixture(scope="module")
def official(raw) -> bytes:
    return (raw / "test_batch.bin").read_bytes()


def described(planes: tuple[np.ndarray, list[int]], **changes) -> dict:
    names = [b"picture_s_%06d.png" % number for number in range(len(planes[1]))]
    return {b"batch_label": b"1", b"labels": planes[1], b"data": planes[0], b"filenames": names} | {
        name.encode(): value for name, value in changes.items()
    }


def test_what_python_2_pickled_is_the_official_batch(planes, official):
    content = python_version.pickled(*planes)
    read = pickle.loads(content, encoding="bytes")  # it is a sound pickle, and one as the data set's
    assert np.array_equal(read[b"data"], planes[0]) and read[b"labels"] == planes[1]
    assert {"SHORT_BINSTRING", "BINSTRING", "LONG_BINPUT"} <= {code.name for code, *_ in pickletools.genops(content)}
    assert pickle_batch.to_binary("test_batch", content) == official


@pytest.mark.parametrize(("protocol", "order"), [(2, "C"), (3, "C"), (4, "F"), (5, "C"), (5, "F")])
def test_what_python_3_pickled_again_is_the_same(protocol, order, planes, official):
    content = pickle.dumps(described(planes, data=planes[0].copy(order)), protocol=protocol)
    assert pickle_batch.to_binary("test_batch", content) == official


def test_names_of_numpy_2_and_of_numpy_1_are_the_same(planes, official):
    content = pickle.dumps(described(planes), protocol=2)
    older, newer = b"numpy.core.multiarray", b"numpy._core.multiarray"
    assert (older in content) != (newer in content)
    other = content.replace(older, newer) if older in content else content.replace(newer, older)
    assert pickle_batch.to_binary("test_batch", other) == official


def test_text_as_keys_and_no_other_keys_are_enough(planes, official):
    content = pickle.dumps({"data": planes[0], "labels": planes[1]})
    assert pickle_batch.to_binary("test_batch", content) == official


WRONG = {
    "no dictionary": (lambda planes: [1, 2], "it is no dictionary with data and labels"),
    "no labels": (lambda planes: {"data": planes[0]}, "it is no dictionary with data and labels"),
    "labels of CIFAR-100": (lambda planes: {"data": planes[0], "fine_labels": planes[1]}, "it is no dictionary with"),
    "too few labels": (lambda planes: described(planes, labels=[1] * 9999), "its labels are no list of 10000 integers"),
    "labels that are text": (lambda planes: described(planes, labels=["1"] * 10_000), "its labels are no list"),
    "labels that are large": (lambda planes: described(planes, labels=[-1] * 10_000), "out of bounds"),
    "floats": (lambda planes: described(planes, data=np.zeros(2, "float32")), "its data are no array of bytes"),
    "too few pixels": (lambda planes: described(planes, data=planes[0][:9]), "its data are no array of 10000 x 3072"),
    "another shape": (lambda planes: described(planes, data=planes[0].T), "its data are no array of 10000 x 3072"),
    "no array": (lambda planes: described(planes, data=bytes(9)), "its data are no array"),
}


@pytest.mark.parametrize("kind", WRONG)
def test_another_content_is_refused_with_what_is_wrong(kind, planes):
    value, told = WRONG[kind]
    with pytest.raises(Unreachable, match=f"data_batch_1 is no batch of CIFAR-10's Python version: .*{told}"):
        pickle_batch.to_binary("data_batch_1", pickle.dumps(value(planes)))


class Calls:
    """Unpickled, it calls a function by another opcode than `Touch`."""

    def __init__(self, how: str, canary) -> None:
        self.how, self.canary = how, canary

    def __reduce_ex__(self, protocol):
        if self.how == "a state":
            return type(self), ("", ""), None, iter([]), iter([(self.canary, Touch(self.canary))])
        if self.how == "an argument":
            return np.ndarray, ((Touch(self.canary),), "u1")
        return eval, (f"open({str(self.canary)!r}, 'w')",)


def hostile(canary) -> dict[str, object]:
    text = str(canary).encode()
    return {
        "a method": Touch(canary),
        "eval": Calls("eval", canary),
        "a function in a state": Calls("a state", canary),
        "a function in an argument": Calls("an argument", canary),
        "a shell's command": b"cposix\nsystem\n(U%ctouch " % (len(text) + 6) + text + b"tR.",
        "a name on the stack": b"\x80\x04\x8c\x05posix\x8c\x06system\x93(U%ctouch " % (len(text) + 6) + text + b"tR.",
        "an instance": b"(U%ctouch " % (len(text) + 6) + text + b"iposix\nsystem\n.",
        "a registered extension": b"\x80\x02\x82\x01.",
        "a persistent name": b"Pname\n.",
        "a new object": b"\x80\x02cnumpy\nndarray\n)\x81.",
        "numpy's own unpickler": b"cnumpy\nload\n(U%c" % len(text) + text + b"tR.",
    }


@pytest.mark.fault("a pickle that would run")
@pytest.mark.parametrize("kind", hostile("x"))
def test_a_pickle_that_would_run_code_runs_none(kind, planes, tmp_path, record_property):
    canary = tmp_path / "canary"
    content = hostile(canary)[kind]
    if not isinstance(content, bytes):
        content = pickle.dumps(described(planes, filenames=content))  # beside data that are sound
    with pytest.raises(Unreachable, match="which is not run") as caught:
        pickle_batch.to_binary("data_batch_1", content)
    assert not canary.exists()
    record_property("seen", str(caught.value))


def test_the_canary_is_one(tmp_path):
    """The pickles of the test before do run code where they are unpickled."""
    for kind in ("a method", "eval", "a function in an argument", "a shell's command", "a name on the stack"):
        canary = tmp_path / kind.replace(" ", "-").replace("'", "")
        value = hostile(canary)[kind]
        subprocess.run(
            [sys.executable, "-c", "import pickle, sys; pickle.load(sys.stdin.buffer)"],
            input=value if isinstance(value, bytes) else pickle.dumps(value, protocol=2),
            cwd=ROOT,
            stderr=subprocess.DEVNULL,
        )
        assert canary.exists(), kind


@pytest.mark.fault("pickles that would fill the memory or take for ever")
def test_a_bomb_ends_in_one_line_within_seconds(record_property):
    command = [sys.executable, "-m", "tests.pickle_bombs"]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=100)
    assert (ended.returncode, ended.stderr) == (0, "")
    *lines, grown = ended.stdout.splitlines()
    assert [line.partition(" ")[2].partition(":")[0] for line in lines] == list(pickle_bombs.BOMBS)
    assert max(float(line.split()[0]) for line in lines) < 5
    assert int(grown) < 300_000  # KiB
    record_property("seen", f"{len(lines)} lines, the last: {lines[-1]}")
