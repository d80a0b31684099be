"""PyTorch checkpoints are read without PyTorch, and nothing in one is ever run."""

import os
import pickle
import resource
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest

from pipeline.core.errors import UserError
from pipeline.formats import torch_checkpoint


def opcodes(value) -> bytes:
    """The pickle that leaves `value` on the stack, without header and end."""
    return pickle.dumps(value, protocol=2)[2:-1]


def tensor(count: int, offset: int, shape: tuple, strides: tuple) -> bytes:
    """The pickle of a float32 tensor in storage "s" of `count` numbers."""
    storage = b"(" + opcodes("storage") + b"ctorch\nFloatStorage\n" + b"".join(map(opcodes, ("s", "cpu", count, None)))
    view = b"".join(map(opcodes, (offset, shape, strides, False, OrderedDict())))
    return b"ctorch._utils\n_rebuild_tensor_v2\n(" + storage + b"tQ" + view + b"tR"


def write(path: Path, numbers: np.ndarray, **tensors: bytes) -> Path:
    """A checkpoint whose tensors share one storage."""
    items = b"".join(opcodes(name) + content for name, content in tensors.items())
    with path.open("wb") as file:
        for value in (torch_checkpoint.MAGIC, 1001, {"little_endian": True}):
            file.write(pickle.dumps(value, protocol=2))
        file.write(b"\x80\x02}(" + items + b"u.")
        file.write(pickle.dumps(["s"], protocol=2))
        file.write(len(numbers).to_bytes(8, "little") + numbers.astype("<f4").tobytes())
    return path


def test_tensors_have_their_shape_strides_and_numbers(tmp_path):
    numbers = np.arange(10)
    path = write(
        tmp_path / "small.pth",
        numbers,
        rows=tensor(10, 0, (2, 3), (3, 1)),
        columns=tensor(10, 0, (3, 2), (1, 3)),
        moved=tensor(10, 6, (4,), (1,)),
        single=tensor(10, 9, (), ()),
    )
    tensors = torch_checkpoint.read(path)
    assert {name: value.tolist() for name, value in tensors.items()} == {
        "rows": [[0, 1, 2], [3, 4, 5]],
        "columns": [[0, 3], [1, 4], [2, 5]],
        "moved": [6, 7, 8, 9],
        "single": 9,
    }
    assert {value.dtype for value in tensors.values()} == {np.dtype("float32")}


@pytest.mark.parametrize(
    ("offset", "shape", "strides"),
    [(0, (11,), (1,)), (8, (3,), (1,)), (0, (2, 2), (9, 2)), (-1, (2,), (1,)), (4, (2,), (-5,)), (0, (-1,), (1,))],
)
def test_a_tensor_that_reaches_beyond_its_storage_is_refused(offset, shape, strides, tmp_path):
    path = write(tmp_path / "beyond.pth", np.arange(10), x=tensor(10, offset, shape, strides))
    with pytest.raises(UserError, match="beyond its storage"):
        torch_checkpoint.read(path)


def test_the_real_lite0_checkpoint_is_read(lite0_weights):
    tensors = torch_checkpoint.read(lite0_weights)
    assert tensors["_conv_stem.weight"].shape == (32, 3, 3, 3)
    assert tensors["_blocks.15._project_conv.weight"].shape == (320, 1152, 1, 1)
    assert tensors["_fc.weight"].shape == (1000, 1280)
    learned = [value for name, value in tensors.items() if name.endswith(("weight", "bias"))]
    assert sum(value.size for value in learned) == 4_652_008  # as published
    assert all(value.dtype == np.float32 and np.isfinite(value).all() and value.std() > 0 for value in learned)
    assert all((value >= 0).all() and value.any() for name, value in tensors.items() if "running_var" in name)


class Malicious:
    def __init__(self, marker: Path):
        self.marker = marker

    def __reduce__(self):
        return os.system, (f"touch {self.marker}",)


@pytest.mark.fault("a pickle as weights, malicious in")
@pytest.mark.parametrize("place", range(5))
def test_a_malicious_checkpoint_is_refused_and_not_run(place, tmp_path):
    marker, path = tmp_path / "run", tmp_path / "malicious.pth"
    pickles = [torch_checkpoint.MAGIC, 1001, {}, OrderedDict(), []]
    pickles[place] = Malicious(marker)
    path.write_bytes(b"".join(pickle.dumps(value, protocol=2) for value in pickles))
    with pytest.raises(UserError, match=r"system is not admitted"):
        torch_checkpoint.read(path)
    assert not marker.exists()
    pickle.loads(pickle.dumps(Malicious(marker)))
    assert marker.exists(), "the attack would not have worked at all"


@pytest.mark.parametrize("length", [0, 5, 100, 20_000, 10_000_000, -1])
def test_a_truncated_checkpoint_is_refused(length, lite0_weights, tmp_path):
    path = tmp_path / "truncated.pth"
    path.write_bytes(lite0_weights.read_bytes()[:length])
    with pytest.raises(UserError, match=r"truncated\.pth is not a checkpoint of plain tensors") as caught:
        torch_checkpoint.read(path)
    assert len(str(caught.value).splitlines()) == 1
    path.unlink()


@pytest.mark.parametrize("seed", range(20))
def test_a_random_file_is_refused(seed, tmp_path):
    path = tmp_path / "random.pth"
    path.write_bytes(np.random.default_rng(seed).bytes(10_000))
    with pytest.raises(UserError):
        torch_checkpoint.read(path)


@pytest.mark.fault("a pickle as weights that numbers its objects up to")
@pytest.mark.parametrize("number", [2**28, 2**32 - 1])
def test_a_pickle_that_would_fill_the_memory_is_refused(number, tmp_path, record_property):
    path = tmp_path / "bomb.pth"
    path.write_bytes(b"\x80\x02}r" + number.to_bytes(4, "little") + b".")
    began = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(UserError, match="memo would have") as caught:
        torch_checkpoint.read(path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < began + 100_000  # KiB
    record_property("seen", str(caught.value).removeprefix(f"{tmp_path}/"))


def test_a_pickle_of_something_else_is_refused(tmp_path):
    path = tmp_path / "other.pth"
    path.write_bytes(pickle.dumps({"weights": [1, 2, 3]}))
    with pytest.raises(UserError, match="magic"):
        torch_checkpoint.read(path)
