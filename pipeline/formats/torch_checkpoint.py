"""Reads tensors out of a PyTorch checkpoint in the format of before version 1.6, without PyTorch.

The file is a sequence of pickles (magic number, protocol, system, the dictionary, the storages' keys) followed by the
storages' raw numbers (`torch.serialization._legacy_save`). The unpickler admits tensors and dictionaries only: a file
that names any other class is refused before anything of it runs.
"""

import collections
import pickle
import pickletools
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from pipeline.core.errors import UserError

MAGIC = 119547037146038801333356
MEMO = 1_000_000  # objects that a pickle may refer to by number: a thousand times what a network needs
DTYPES = {"FloatStorage": "<f4", "DoubleStorage": "<f8", "HalfStorage": "<f2", "LongStorage": "<i8"}
# What Python's unpickler and the code below raise on bytes that are not a checkpoint.
_MALFORMED: tuple[type[Exception], ...] = (pickle.UnpicklingError, EOFError, ValueError, LookupError, TypeError)
_MALFORMED += (AttributeError, ArithmeticError, MemoryError)


def read(path: Path) -> dict[str, np.ndarray]:
    """Return the checkpoint's tensors by name. Raises UserError if it is cut short, or holds anything but tensors."""
    try:
        with path.open("rb") as file:
            if _Unpickler(file).load() != MAGIC:
                raise ValueError("wrong magic number")
            for _ in ("protocol", "system"):
                _Unpickler(file).load()
            unpickler = _Unpickler(file)
            tensors = unpickler.load()
            for key in _Unpickler(file).load():
                storage = unpickler.storages[key]
                count = int.from_bytes(file.read(8), "little")
                content = file.read(count * storage.dtype.itemsize)
                if count != len(storage) or len(content) != storage.nbytes:
                    raise ValueError("cut short")
                storage[:] = np.frombuffer(content, storage.dtype)
            return dict(tensors)
    except _MALFORMED as error:
        raise UserError(f"{path} is not a checkpoint of plain tensors: {str(error) or type(error).__name__}") from None


class _Unpickler(pickle.Unpickler):
    """Loads the pickle that begins where the file is read.

    Raises ValueError if it numbers its objects so high that their table would fill the memory: `r`, four bytes and a
    stop are enough to have Python's unpickler allocate 64 GB.
    """

    def __init__(self, file: BinaryIO):
        start = file.tell()
        for operation, number, _ in pickletools.genops(file):
            if operation.name in ("PUT", "BINPUT", "LONG_BINPUT") and number is not None and number > MEMO:
                raise ValueError(f"its memo would have {number} entries")
        file.seek(start)
        super().__init__(file)
        self.storages: dict[str, np.ndarray] = {}

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return collections.OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _tensor
        if module == "torch" and name in DTYPES:
            return np.dtype(DTYPES[name])
        raise pickle.UnpicklingError(f"{module}.{name} is not admitted")

    def persistent_load(self, identifier: tuple) -> np.ndarray:
        _, dtype, key, _, count, _ = identifier
        return self.storages.setdefault(key, np.zeros(count, dtype))


def _tensor(storage: np.ndarray, offset: int, shape: tuple, strides: tuple, *_: Any) -> np.ndarray:
    """A view of its storage, which is filled later."""
    steps = tuple(stride * storage.itemsize for stride in strides)
    reach = offset + 1 + sum((size - 1) * stride for size, stride in zip(shape, strides, strict=True))
    if min((offset, *shape, *strides)) < 0 or reach > len(storage):
        raise ValueError("a tensor reaches beyond its storage")
    return np.lib.stride_tricks.as_strided(storage[offset:], shape, steps)
