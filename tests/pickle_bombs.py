"""Pickles that would fill the memory or take for ever; as a program, it reads them and says what that took."""

import resource
import struct
import time

from pipeline.data import pickle_batch
from pipeline.data.download import Unreachable


def doubled(levels: int) -> bytes:
    """An empty tuple, then a pair of what was there, again and again: with so many levels, 2^levels leaves."""
    return b")" + b"".join(b"q%ch%c\x86" % (level, level) for level in range(levels))


def encoded_again(size: int, times: int) -> bytes:
    text = b"X" + struct.pack("<I", size) + b"x" * size + b"X\x06\0\0\0latin1\x86q\x01R"
    return b"\x80\x02c_codecs\nencode\nq\0" + text + b"h\0h\x01R" * times + b"."


def keyed(size: int, times: int) -> bytes:
    return b"\x80\x03}B" + struct.pack("<I", size) + b"x" * size + b"q\0Ns" + b"h\0Ns" * times + b"."


TUPLES = b"\x80\x02" + doubled(60)
BOMBS = {
    "a string of two gigabytes": lambda: b"\x80\x02T\xff\xff\xff\x7f" + b"x" * 100 + b".",
    "a string of negative length": lambda: b"\x80\x02T\xff\xff\xff\xffxx.",
    "bytes of 2^62": lambda: b"\x80\x04\x8e" + struct.pack("<Q", 2**62) + b"x.",
    "text of 2^63": lambda: b"\x80\x04\x8d" + struct.pack("<Q", 2**63) + b"x.",
    "a frame of 2^62": lambda: b"\x80\x04\x95" + struct.pack("<Q", 2**62) + b"].",
    "an integer of two gigabytes": lambda: b"\x80\x02\x8b\xff\xff\xff\x7f" + b"x" * 100 + b".",
    "the last place of the memo": lambda: b"\x80\x02]r\xff\xff\xff\xff.",
    "a place of the memo that is empty": lambda: b"\x80\x02j\xff\xff\xff\xff.",
    "deep tuples": lambda: b"\x80\x02)" + b"\x85" * 190_000 + b".",
    "deep lists": lambda: b"\x80\x02" + b"]" * 99_000 + b"a" * 98_999 + b".",
    "deep calls": lambda: b"\x80\x02" + b"cnumpy\ndtype\n" * 60_000 + b")" + b"R\x85" * 60_000 + b".",
    "marks": lambda: b"\x80\x02" + b"(" * 190_000 + b".",
    "more lists than any": lambda: b"\x80\x02" + b"]" * 60_000_000 + b".",
    "a list in itself": lambda: b"\x80\x02]q\0h\0a.",
    "a tuple of twos": lambda: TUPLES + b".",
    "a tuple of twos as a key": lambda: b"\x80\x02}" + doubled(60) + b"K\x01s.",
    "a tuple of twos as a name": lambda: b"\x80\x04\x8c\x05numpy" + doubled(60) + b"\x93.",
    "a tuple of twos that is called": lambda: TUPLES + b")R.",
    "a tuple of twos as labels": lambda: b"\x80\x02}(U\x04dataNU\x06labels" + doubled(60) + b"u.",
    "a tuple of twos as data": lambda: b"\x80\x02}(U\x06labelsNU\x04data" + doubled(60) + b"u.",
    "a text that is encoded again and again": lambda: encoded_again(10_000_000, 60_000),
    "a long key, again and again": lambda: keyed(20_000_000, 60_000),
    "nothing": lambda: b"",
    "an end": lambda: b".",
    "values from nowhere": lambda: b"\x80\x02\x87tsbRe.",
    "a file that is too long": lambda: bytes(pickle_batch.LARGEST + 1),
}


def main() -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for name, content in BOMBS.items():
        began = time.monotonic()
        try:
            pickle_batch.to_binary("data_batch_1", content())
        except Unreachable as error:
            print(f"{time.monotonic() - began:.2f} {name}: {error}")
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)


if __name__ == "__main__":
    main()
