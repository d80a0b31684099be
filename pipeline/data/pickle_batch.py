"""A batch of CIFAR-10's Python version, read without unpickling, which would run whatever code the file names.

The opcodes of plain data are carried out here. A name stays a name: nothing is imported, and nothing is called.
"""

import pickletools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from pipeline.data import cifar10
from pipeline.data.download import Unreachable

LARGEST = 64_000_000  # bytes of a file; an official one has 31 million, one written by Python 3 as protocol 2 has 47
LONGEST = 200_000  # opcodes of a file; an official one has 40,000, one written by Python 3 as protocol 2 has 90,000
LONGEST_KEY = 100  # characters; an official one has 11
IMAGES, PIXELS = 10_000, 3072  # of a batch; an image is its red, green and blue plane
RECONSTRUCT = ("numpy.core.multiarray _reconstruct", "numpy._core.multiarray _reconstruct")
FROM_BUFFER = ("numpy.core.numeric _frombuffer", "numpy._core.numeric _frombuffer")  # protocol 5
ARRAY, DTYPE, ENCODE = "numpy ndarray", "numpy dtype", "_codecs encode"  # the last: bytes, by Python 3 as protocol 2
NAMES = {*RECONSTRUCT, *FROM_BUFFER, ARRAY, DTYPE, ENCODE}


@dataclass(eq=False)
class Call:
    """What unpickling would have called, and the state that the result would have been given."""

    name: Any
    arguments: Any
    state: Any = None


def to_binary(name: str, content: bytes) -> bytes:
    """Return the batch in the official binary layout. Raises Unreachable if `content` is no pickle of a batch."""
    try:
        if len(content) > LARGEST:
            raise ValueError(f"it has more than {LARGEST / 1e6:.0f} MB")
        batch = _evaluate(content)
        if not isinstance(batch, dict) or not {"data", "labels"} <= batch.keys():
            raise ValueError("it is no dictionary with data and labels")
        planes, labels = _array(batch["data"]), batch["labels"]
        if not isinstance(labels, list) or len(labels) != IMAGES or any(type(label) is not int for label in labels):
            raise ValueError(f"its labels are no list of {IMAGES} integers")
        images = planes.reshape(IMAGES, 3, 32, 32).transpose(0, 2, 3, 1)
        return cifar10.to_binary(images, np.array(labels, "uint8"))
    except (ValueError, LookupError, TypeError, AttributeError, OverflowError) as error:
        reason = str(error) if isinstance(error, ValueError) else f"{type(error).__name__}: {error}"
        raise Unreachable(f"{name} is no batch of CIFAR-10's Python version: {reason}") from None


def _evaluate(content: bytes) -> Any:
    """Return what the pickle describes: dictionaries with text as keys, lists, tuples, text, bytes, integers, Calls.

    Memory and time are bounded by the file's size and the number of opcodes: what comes from the memo is no copy, and
    no value is converted, hashed or shown, which could take exponential time.
    """
    stack: list[Any] = []
    below: list[list[Any]] = []  # what lies under each mark
    memo: dict[int, Any] = {}
    opcodes: Iterator[tuple[Any, Any, Any]] = pickletools.genops(content)
    for number, (opcode, argument, _) in enumerate(opcodes):
        if number == LONGEST:
            raise ValueError(f"it has more than {LONGEST} opcodes")
        match opcode.name:
            case "BININT" | "BININT1" | "BININT2" | "LONG1" | "SHORT_BINSTRING" | "BINSTRING":
                stack.append(argument)  # pickletools decodes Python 2's strings, which are bytes, as Latin-1
            case "BINUNICODE" | "SHORT_BINUNICODE" | "BINBYTES" | "SHORT_BINBYTES" | "BINBYTES8" | "BYTEARRAY8":
                stack.append(argument)
            case "NONE" | "NEWTRUE" | "NEWFALSE":
                stack.append({"NEWTRUE": True, "NEWFALSE": False}.get(opcode.name))
            case "EMPTY_LIST":
                stack.append([])
            case "EMPTY_DICT":
                stack.append({})
            case "EMPTY_TUPLE":
                stack.append(())
            case "TUPLE1" | "TUPLE2" | "TUPLE3":
                count = int(opcode.name[-1])
                stack[-count:] = [tuple(stack[-count:])]
            case "MARK":
                below.append(stack)
                stack = []
            case "TUPLE":
                items, stack = stack, below.pop()
                stack.append(tuple(items))
            case "APPEND":
                item = stack.pop()
                stack[-1].append(item)
            case "APPENDS":
                items, stack = stack, below.pop()
                stack[-1].extend(items)
            case "SETITEM":
                value, key = stack.pop(), stack.pop()
                stack[-1][_key(key)] = value
            case "SETITEMS":
                items, stack = stack, below.pop()
                for key, value in zip(items[::2], items[1::2], strict=True):
                    stack[-1][_key(key)] = value
            case "BINPUT" | "LONG_BINPUT":
                memo[argument] = stack[-1]
            case "MEMOIZE":
                memo[len(memo)] = stack[-1]
            case "BINGET" | "LONG_BINGET":
                stack.append(memo[argument])
            case "GLOBAL":
                stack.append(_name(argument))
            case "STACK_GLOBAL":
                name, module = stack.pop(), stack.pop()
                stack.append(_name(" ".join((module, name))))
            case "REDUCE":
                arguments, name = stack.pop(), stack.pop()
                stack.append(Call(name, arguments))
            case "BUILD":
                state = stack.pop()
                stack[-1].state = state
            case "PROTO" | "FRAME":
                pass
            case "STOP":
                return stack.pop()
            case other:
                raise ValueError(f"its pickle has {other}, which is not run")
    raise ValueError("it has no end")  # pickletools raises before


def _name(name: str) -> str:
    if name not in NAMES:
        raise ValueError(f"its pickle names {name[:100]}, which is not run")
    return name


def _key(key: Any) -> str:
    if isinstance(key, Call):
        key = key.arguments[0]
    if not isinstance(key, str | bytes) or len(key) > LONGEST_KEY:  # one in the memo is decoded at each use
        raise ValueError(f"it has a key that is no text of at most {LONGEST_KEY} characters")
    return key if isinstance(key, str) else key.decode("latin-1")


def _array(value: Any) -> np.ndarray:
    """Return the planes of all images, uint8 (IMAGES, PIXELS)."""
    order: Any
    data: Any
    match value:
        case Call(name, _, (1, shape, dtype, fortran, data)) if name in RECONSTRUCT:
            order = "F" if fortran else "C"
        case Call(name, (data, dtype, shape, order), _) if name in FROM_BUFFER:
            pass
        case _:
            raise ValueError("its data are no array")
    match dtype:
        case Call("numpy dtype", ("u1", *_), _):
            pass
        case _:
            raise ValueError("its data are no array of bytes")
    if isinstance(data, Call):
        data = data.arguments[0]
    if shape != (IMAGES, PIXELS) or len(data) != IMAGES * PIXELS:
        raise ValueError(f"its data are no array of {IMAGES} x {PIXELS}")
    content = data.encode("latin-1") if isinstance(data, str) else data
    return np.frombuffer(content, "uint8").reshape(shape, order=order)
