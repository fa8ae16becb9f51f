"""Files of which a beginning is read first: nothing that straddles its end hides what follows."""

from __future__ import annotations

import gzip
import io
import random
import struct
from collections.abc import Callable
from typing import BinaryIO

import pytest

from picklegate.containers import Contents, decompress, raw, read
from picklegate.pickles.opcodes import NAMES
from samples.containers import (
    CALL,
    KEYS,
    MAGIC,
    PAYLOAD,
    PROTOCOL,
    SYS_INFO,
    Member,
    imports,
    joblib_array,
    npy,
    scan,
    torch_legacy,
    zipped,
)

NEAR, FAR = 1 << 12, 1 << 16
"""Where the first look ends: in memory, and where bytes must be fetched or decompressed."""

ORDERED = b"ccollections\nOrderedDict\n"
SNIPPETS: dict[str, bytes] = {
    "MARK": b"(0",
    "POP": b"N0",
    "POP_MARK": b"(N1",
    "DUP": b"200",
    "NONE": b"N0",
    "NEWTRUE": b"\x880",
    "NEWFALSE": b"\x890",
    "FLOAT": b"F1.5\n0",
    "INT": b"I77\n0",
    "LONG": b"L77L\n0",
    "BININT": b"J\1\1\1\x010",
    "BININT1": b"K\x010",
    "BININT2": b"M\1\x010",
    "BINFLOAT": b"G\1\1\1\1\1\1\1\x010",
    "LONG1": b"\x8a\2\1\x010",
    "LONG4": b"\x8b\2\0\0\0\1\x010",
    "STRING": b"S'ab'\n0",
    "UNICODE": b"Vab\n0",
    "BINSTRING": b"T\2\0\0\0ab0",
    "SHORT_BINSTRING": b"U\2ab0",
    "BINUNICODE": b"X\2\0\0\0ab0",
    "SHORT_BINUNICODE": b"\x8c\2ab0",
    "BINUNICODE8": b"\x8d\2\0\0\0\0\0\0\0ab0",
    "BINBYTES": b"B\2\0\0\0ab0",
    "SHORT_BINBYTES": b"C\2ab0",
    "BINBYTES8": b"\x8e\2\0\0\0\0\0\0\0ab0",
    "BYTEARRAY8": b"\x96\2\0\0\0\0\0\0\0ab0",
    "EMPTY_TUPLE": b")0",
    "EMPTY_LIST": b"]0",
    "EMPTY_DICT": b"}0",
    "EMPTY_SET": b"\x8f0",
    "TUPLE": b"(NNt0",
    "TUPLE1": b"N\x850",
    "TUPLE2": b"NN\x860",
    "TUPLE3": b"NNN\x870",
    "LIST": b"(NNl0",
    "DICT": b"(NNd0",
    "FROZENSET": b"(N\x910",
    "APPEND": b"]Na0",
    "APPENDS": b"](NNe0",
    "SETITEM": b"}NNs0",
    "SETITEMS": b"}(NNu0",
    "ADDITEMS": b"\x8f(N\x900",
    "PUT": b"Np77\n0",
    "GET": b"Np77\n0g77\n0",
    "BINPUT": b"Nq\x050",
    "BINGET": b"Nq\x050h\x050",
    "LONG_BINPUT": b"Nr\5\0\0\x000",
    "LONG_BINGET": b"Nr\5\0\0\x000j\5\0\0\x000",
    "MEMOIZE": b"N\x940",
    "GLOBAL": ORDERED + b"0",
    "STACK_GLOBAL": b"\x8c\x0bcollections\x8c\x0bOrderedDict\x930",
    "INST": b"(icollections\nOrderedDict\n0",
    "OBJ": b"(" + ORDERED + b"o0",
    "REDUCE": ORDERED + b")R0",
    "NEWOBJ": ORDERED + b")\x810",
    "NEWOBJ_EX": ORDERED + b")}\x920",
    "BUILD": ORDERED + b")R}b0",
    "EXT1": b"\x82\x050",
    "EXT2": b"\x83\5\x010",
    "EXT4": b"\x84\5\1\1\x010",
    "PERSID": b"Pab\n0",
    "BINPERSID": b"NQ0",
    "PROTO": b"\x80\x02",
    "FRAME": b"\x95\4\0\0\0\0\0\0\0N0N0",
    "NEXT_BUFFER": b"\x970",
    "READONLY_BUFFER": b"\x97\x980",
    "STOP": b".N",
}
"""Each opcode where it leaves the stack as it was."""


@pytest.fixture(autouse=True)
def _small_beginnings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files need not be large to be read in two looks."""
    monkeypatch.setattr(raw, "_AT_ONCE", NEAR)
    monkeypatch.setattr(decompress, "_PIECE", FAR)


class Remote(io.RawIOBase):
    """Bytes that are no memory: each read is counted."""

    def __init__(self, data: bytes) -> None:
        """Stand at the start of ``data``."""
        self.file = io.BytesIO(data)
        self.bytes = 0

    def seek(self, offset: int, whence: int = 0) -> int:
        """Move."""
        return self.file.seek(offset, whence)

    def read(self, size: int = -1) -> bytes:
        """Read and count."""
        data = self.file.read(size)
        self.bytes += len(data)
        return data


def remote(data: bytes) -> Contents:
    """Read bytes that must be fetched."""
    file: BinaryIO = Remote(data)  # type: ignore[assignment]
    return read(file)


def filled(size: int) -> bytes:
    """Opcodes of ``size`` bytes together that do nothing."""
    return b"B" + struct.pack("<L", size - 6) + bytes(size - 6) + b"0"


def hidden(snippet: bytes, start: int) -> bytes:
    """A pickle of protocol 2 with ``snippet`` at ``start``, and a payload well behind it."""
    head = b"\x80\x02N"
    return head + filled(start - len(head)) + snippet + b"N0" * 400 + PAYLOAD


_BEFORE = len(MAGIC + PROTOCOL + SYS_INFO)
CARRIERS: dict[str, tuple[int, Callable[[bytes], Contents]]] = {
    "raw": (NEAR, scan),
    "remote": (FAR, remote),
    "gzip": (FAR, lambda pickle: scan(gzip.compress(pickle, 1))),
    "zip-stored": (NEAR, lambda pickle: scan(zipped(Member(b"a.bin", pickle)))),
    "zip-deflated": (FAR, lambda pickle: scan(zipped(Member(b"a.bin", pickle, 8)))),
    "npy": (NEAR, lambda pickle: scan(npy(pickle))),
    "joblib": (NEAR, lambda pickle: scan(pickle[:2] + joblib_array("<f8", bytes(8), count=1) + pickle[2:])),
    "torch_legacy": (NEAR - _BEFORE, lambda pickle: scan(torch_legacy(object=pickle))),
    "storage-keys": (NEAR - _BEFORE - 4, lambda pickle: scan(torch_legacy(object=b"\x80\x02N.", keys=pickle))),
}
"""Where the first look at a pickle ends, and the way to it."""


@pytest.mark.parametrize("carrier", CARRIERS)
def test_no_opcode_hides_what_follows_a_beginning(carrier: str) -> None:
    """Wherever an opcode is cut by the end of the first look, the payload behind it is seen."""
    end, scanned = CARRIERS[carrier]
    missed = [
        (opcode, before)
        for opcode, snippet in SNIPPETS.items()
        for before in range(len(snippet) + 2)
        if ("os", "system") not in imports(scanned(hidden(snippet, end - before)))
    ]
    assert missed == []


def test_every_opcode_is_tried() -> None:
    """The table above has all opcodes of protocols 0 to 5."""
    assert set(SNIPPETS) == set(NAMES.values())
    assert all(bytes((code,)) in SNIPPETS[name] for code, name in NAMES.items())


@pytest.mark.parametrize("seed", range(4))
def test_a_beginning_shows_what_the_whole_shows(seed: int) -> None:
    """For opcodes in any order, the remote and the local reading find the same streams."""
    draw = random.Random(seed)
    for _ in range(10):
        body = b"".join(draw.choices(list(SNIPPETS.values()), k=40))
        data = hidden(body, FAR - draw.randrange(300))
        assert _shown(remote(data)) == _shown(scan(data))


def _shown(contents: Contents) -> list[object]:
    return [
        (stream.name, stream.trace.end, stream.trace.opcodes, stream.trace.fault, stream.trace.notes)
        for stream in contents.streams
    ]


def test_a_frame_that_goes_on_behind_the_beginning_is_judged_by_the_file() -> None:
    """A frame inside the file is no frame past its end; that it goes on behind STOP is told all the same."""
    data = b"\x80\x04\x95" + struct.pack("<Q", 2 * NEAR) + b"N." + bytes(2 * NEAR)
    (stream, *_) = scan(data).streams
    assert ["behind STOP" in note.message for note in stream.trace.notes] == [True]


def test_the_other_reading_of_a_frame_may_go_on_behind_the_beginning() -> None:
    """One unpickler stops early, the other drops the frame's end and runs what stands far behind it."""
    inside = b"B" + struct.pack("<L", 3004) + bytes(3000)
    data = b"\x80\x04\x95" + struct.pack("<Q", len(inside)) + inside + bytes(4) + b"." + bytes(2999) + PAYLOAD
    found = [inner for stream in scan(data).streams for _, inner in stream.trace.nested]
    assert ("os", "system") in {(one.module, one.name) for trace in found for one in trace.imports}


@pytest.mark.parametrize("length", [NEAR - 1, NEAR + 3, 2 * NEAR], ids=["before", "across", "behind"])
def test_a_reading_that_ends_past_the_file_hides_not_the_other(length: int) -> None:
    """The straight reading comes to an argument that no file holds, the other one to the payload behind a frame."""
    inside = b"B" + struct.pack("<L", length) + bytes(3000)
    frame = b"\x80\x04\x95" + struct.pack("<Q", len(inside)) + inside
    endless = b"\x8e" + b"\xf0" * 8
    data = frame + (bytes(length - 3000) + endless).ljust(length, b"0") + PAYLOAD
    found = [inner for stream in scan(data).streams for _, inner in stream.trace.nested]
    assert ("os", "system") in {(one.module, one.name) for trace in found for one in trace.imports}


def test_records_whose_kind_shows_behind_the_beginning_are_read_again() -> None:
    """Whether records are raw or a pickle is told by all of the pickle, not by what the first look holds."""
    nested = b"\x80\x02B" + struct.pack("<L", NEAR) + b"\0." + bytes(NEAR - 2) + CALL + b"."
    data = b"\x80\x02](" + joblib_array("V8", nested, count=1) + b"e."
    assert ("os", "system") in imports(scan(data))


def test_items_of_an_array_that_lead_behind_it_as_opcodes_are_followed() -> None:
    """For ``pickle.load`` the items are opcodes, and one of them can jump behind the end of joblib's own stream."""
    raw = b"B" + struct.pack("<L", 2 * NEAR) + bytes(3)
    data = b"\x80\x02](" + joblib_array("<f8", raw, count=1) + b"e."
    behind = data.index(raw) + 5 + 2 * NEAR
    assert ("os", "system") in imports(scan(data.ljust(behind, b"\xff") + PAYLOAD))


def test_many_small_streams_hide_nothing_in_compression() -> None:
    """A compressed file is read on where its beginning is complete streams that do nothing."""
    stream = filled(1000)[:-1] + b"."
    assert ("os", "system") in imports(scan(gzip.compress(stream * 100 + PAYLOAD)))


def test_arrays_behind_an_array_of_numbers_are_read_in_compression() -> None:
    """A compressed file of several arrays is read on behind the first, as numpy would."""
    header = b"{'descr': '|u1', 'fortran_order': False, 'shape': (%d,), }" % (2 * FAR)
    numbers = b"\x93NUMPY\1\0" + struct.pack("<H", len(header)) + header + bytes(2 * FAR)
    assert ("os", "system") in imports(scan(gzip.compress(numbers + npy(PAYLOAD))))
    assert ("os", "system") in imports(scan(zipped(Member(b"a.npy", numbers + npy(PAYLOAD), 8))))
    assert scan(zipped(Member(b"a.npy", numbers, 8))).streams == ()


def test_an_argument_longer_than_the_file_is_not_waited_for() -> None:
    """Of a large binary file that begins like an opcode no more than a beginning is fetched."""
    file = Remote(b"\x8e" + b"\xf0" * 8 + bytes(1 << 21))
    assert read(file).streams == ()  # type: ignore[arg-type]
    assert file.bytes < 4 * FAR


def test_keys_at_the_very_end_of_the_beginning_are_followed_by_storages() -> None:
    """What stands where torch reads storages is looked at wherever the first look ends."""
    for size in range(NEAR - 8, NEAR + 8):
        keys = filled(size - _BEFORE - 4 - len(KEYS)) + KEYS
        whole = torch_legacy(object=b"\x80\x02N.", keys=keys)
        assert ("os", "system") in imports(scan(whole[: -len(whole) + size] + PAYLOAD))
