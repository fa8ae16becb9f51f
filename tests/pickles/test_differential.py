"""Whatever the real unpickler asks to import is in the trace, or the trace is faulted at or before that point."""

from __future__ import annotations

import array
import collections
import datetime as dt
import decimal
import enum
import fractions
import functools
import operator
import os
import pathlib
import pickle
import random
import re
import struct
import uuid
from collections.abc import Callable, Iterator

import pytest

from picklegate.judging.arguments import contents_of
from picklegate.pickles import Trace, trace, tracer
from support import oracle

NAMES = [
    b"os",
    b"system",
    b"collections",
    b"OrderedDict",
    b"a.b",
    b"numpy",
    b"dtype",
    "größe".encode(),
    b"x\\x41",
    b"n\0m",
    b"",
    b"1",
]
NUMBERS = [0, 1, 2, 3, 5, 127, 128, 255, 256, 65535, 1 << 31, (1 << 32) - 1]


class Colour(enum.Enum):
    """An enumeration to pickle."""

    RED = 1


INDEXES = [b"0", b"1", b"2", b"3", b"1_0", b" 4", b"1\0x", b"-1", b"7"]


def _line(draw: random.Random) -> bytes:
    return (
        draw.choice(
            [
                *NAMES,
                b"0x10",
                b"010",
                b"00",
                b"01",
                b"1_0",
                b" 7",
                b"+3",
                b"-1",
                b"1\0junk",
                b"99999999999",
                b"'it''",
                b'"q"',
            ]
        )
        + b"\n"
    )


def _counted(width: int) -> Callable[[random.Random], bytes]:
    def argument(draw: random.Random) -> bytes:
        text = draw.choice(NAMES)
        size = len(text) if draw.random() < 0.95 else draw.choice(NUMBERS)
        return (size & ((1 << 8 * width) - 1)).to_bytes(width, "little") + text

    return argument


def _raw(width: int) -> Callable[[random.Random], bytes]:
    return lambda draw: (draw.choice(NUMBERS) & ((1 << 8 * width) - 1)).to_bytes(width, "little")


def _index(width: int) -> Callable[[random.Random], bytes]:
    return lambda draw: draw.choice((0, 1, 2, 3, 4, 5, 9)).to_bytes(width, "little")


ARGUMENTS: dict[bytes, Callable[[random.Random], bytes]] = {
    **dict.fromkeys([b"F", b"I", b"L", b"S", b"V", b"P"], _line),
    **dict.fromkeys([b"g", b"p"], lambda draw: draw.choice(INDEXES) + b"\n"),
    **dict.fromkeys([b"c", b"i"], lambda draw: _line(draw) + _line(draw)),
    **dict.fromkeys([b"U", b"C", b"\x8c", b"\x8a"], _counted(1)),
    **dict.fromkeys([b"T", b"B", b"X", b"\x8b"], _counted(4)),
    **dict.fromkeys([b"\x8d", b"\x8e", b"\x96"], _counted(8)),
    **dict.fromkeys([b"h", b"q"], _index(1)),
    **dict.fromkeys([b"j", b"r"], _index(4)),
    b"K": _raw(1), b"M": _raw(2), b"J": _raw(4), b"G": _raw(8), b"\x82": _raw(1), b"\x83": _raw(2), b"\x84": _raw(4),
    b"\x80": lambda draw: bytes([draw.choice([0, 1, 2, 3, 4, 5, 5, 5, 9])]),
    b"\x95": lambda draw: struct.pack("<Q", draw.choice([0, 1, 3, 10, 10, 30, 1 << 40])),
}  # fmt: skip
PLAIN = [bytes([op]) for op in b"(.012NQR)]}abdeltou\x81\x85\x86\x87\x88\x89\x8f\x90\x91\x92\x93\x94\x97\x98s"]
LIKELY = [
    b"(",
    b"\x93",
    b"\x8c",
    b"\x8c",
    b"c",
    b"\x94",
    b"h",
    b"q",
    b"K",
    b"R",
    b"\x85",
    b")",
    b"]",
    b"}",
    b"o",
    b"i",
    b"N",
]


def _grammar(draw: random.Random) -> bytes:
    """Random opcodes, half of them ones that keep the machine going."""
    parts = [b"\x80\x04"] if draw.random() < 0.3 else []
    for _ in range(draw.randint(3, 30)):
        op = draw.choice(LIKELY) if draw.random() < 0.6 else draw.choice([*ARGUMENTS, *PLAIN])
        parts.append(op + ARGUMENTS[op](draw) if op in ARGUMENTS else op)
    return b"".join(parts) + b"."


def _benign() -> list[bytes]:
    """What the standard library pickles, in each protocol."""
    values = [
        {"a": [1, 2.5, "x", b"y", None, True], "b": (1, (2, 3)), "c": {1, 2}, "d": frozenset("ab")},
        collections.OrderedDict(a=1), collections.Counter("abc"), collections.deque([1]),
        collections.defaultdict(list, a=[1]),
        dt.datetime(2020, 1, 2, tzinfo=dt.timezone.utc), dt.timedelta(1), decimal.Decimal("1.5"),
        fractions.Fraction(1, 3),
        pathlib.PurePosixPath("a/b"), uuid.UUID(int=5), re.compile("a+"), Colour.RED, Colour,
        functools.partial(int, base=2),
        operator.attrgetter("a.b"), operator.methodcaller("f", 1), array.array("i", [1, 2]), range(3), slice(1, 2),
        complex(1, 2),
        ["x" * 300, "ünï", 1 << 70, -5, 70000, 1e300], [[]] * 3, OSError("x"), bytearray(b"abc"), Ellipsis, int,
        len, os.path.join,
    ]  # fmt: skip
    return [pickle.dumps(value, protocol) for value in values for protocol in range(6)]


def _mutate(draw: random.Random, data: bytes, others: list[bytes]) -> bytes:
    """One to four random edits."""
    body = bytearray(data)
    for _ in range(draw.randint(1, 4)):
        at = draw.randrange(len(body) + 1)
        edit = draw.randrange(5)
        if edit == 0 and at < len(body):
            body[at] = draw.randrange(256)
        elif edit == 1:
            body[at:at] = bytes(
                [draw.choice(b"c(R.\x93\x94hq\x8c)tiob0") if draw.random() < 0.5 else draw.randrange(256)]
            )
        elif edit == 2:
            del body[at : at + draw.randint(1, 6)]
        elif edit == 3:
            other = draw.choice(others)
            start = draw.randrange(len(other))
            body[at:at] = other[start : start + draw.randint(1, 30)]
        elif at < len(body):
            body[at] ^= 1 << draw.randrange(8)
    return bytes(body)


def streams(seed: int, count: int) -> Iterator[bytes]:
    """Streams of a grammar, of the standard library, and mutants of both."""
    draw = random.Random(seed)
    benign = _benign()
    grammar = [_grammar(draw) for _ in range(count // 3)]
    yield from benign
    yield from grammar
    pool = benign + grammar
    for _ in range(count - len(pool)):
        yield _mutate(draw, draw.choice(pool if draw.random() < 0.3 else benign), benign)


def seen(found: Trace) -> set[tuple[str, str]]:
    """Every import of the trace and of the other readings that it follows."""
    names = {(item.module, item.name) for item in found.imports}
    return names.union(*(seen(inner) for _, inner in found.nested))


def missing(asked: oracle.Asked, found: Trace) -> list[tuple[str, str, int]]:
    """What was asked for, is not in the trace, and lies before the fault, if there is one."""
    names = seen(found)
    faults = [found.fault, *(inner.fault for _, inner in found.nested)]
    first = min((fault.offset for fault in faults if fault is not None), default=1 << 62)
    return [ask for ask in asked if ask[:2] not in names and ask[2] < first]


SEED = 20260219
COUNT = 24_000


def test_every_import_of_the_real_unpicklers_is_traced() -> None:
    """24,000 generated and mutated streams: neither the C nor the Python unpickler asks for more than the trace has."""
    made = list(streams(SEED, COUNT))
    wrong = []
    asked = 0
    for data, answers in zip(made, oracle.ask(made), strict=True):
        found = trace(data)
        for kind, answer in zip(("C", "Python"), answers, strict=True):
            asked += len(answer)
            if lost := missing(answer, found):
                wrong.append((kind, data, lost, found.fault))
    assert asked > 10_000, "the streams must exercise imports"
    assert not wrong, f"{len(wrong)} of {len(made)}: {wrong[:3]}"


def test_a_long_stream_has_the_same_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    """Dropping numbers of full containers, as in long streams, changes no import, no call and no text of one."""

    def deeds(data: bytes) -> list[object]:
        found = trace(data)
        calls = [(event.kind, event.opcode, event.offset, event.name, event.count) for event in found.events]
        given = [contents_of((event.args, event.kwargs)) for event in found.events]
        held = [(one.texts, set(one.blobs), {item.dotted for item in one.globals}, one.unresolved) for one in given]
        return [found.imports, found.stopped, calls, held]

    made = list(streams(SEED + 1, 3_000))
    whole = [deeds(data) for data in made]
    monkeypatch.setattr(tracer, "_SMALL", 0)
    monkeypatch.setattr(tracer, "_KEEP", 2)
    assert [data for data, first in zip(made, whole, strict=True) if deeds(data) != first] == []


REGRESSIONS: dict[str, bytes] = {
    "memoize-after-binput": b"\x80\x04\x8c\x01xq\x010\x8c\x06system\x940\x8c\x02osh\x01\x93.",
    "put-with-underscore": b"\x80\x04\x8c\x02osp1_0\n0\x8c\x06systemg10\n\x8c\x06system\x93.",
    "put-cut-at-nul": b"\x80\x04\x8c\x02osp5\0x\n0g5\n\x8c\x06system\x93.",
    "global-not-ascii": "cgröße\nätsch\n.".encode(),
    "global-escape-kept": b"cos\\x41\nsystem\n.",
    "int-in-any-base": b"I0x10\n0cos\nsystem\n.",
    "string-not-ascii": b"S'\xe9'\n0cos\nsystem\n.",
    "frame-too-short": b"\x80\x04\x95\x01\x00\x00\x00\x00\x00\x00\x00cos\nsystem\n.",
    "line-across-frame-end": b"\x80\x04\x95\x05\0\0\0\0\0\0\0cmathos\nsystem\n.",
    "name-across-frame-end": b"\x80\x04\x95\x07\0\0\0\0\0\0\0\x8c\x02os\x8c\x06xsystem\x93.",
    "frame-in-frame": b"\x80\x04\x95\x0c\0\0\0\0\0\0\0\x95\x09\0\0\0\0\0\0\0N00cos\nsystem\n.",
    "frame-header-across-frame-end": b"\x80\x04\x95\x0c\0\0\0\0\0\0\0\x95\x09\0\0\0\0\0\0\0N00czqq\nzname\n.",
    "pop-of-a-mark": b"(0cos\nsystem\n.",
    "memo-key-set-twice": b"\x80\x04\x8c\x02os\x94q\x00\x8c\x06system\x940h\x00\x8c\x06system\x93.",
}


@pytest.mark.parametrize("data", REGRESSIONS.values(), ids=REGRESSIONS.keys())
def test_known_differences(data: bytes) -> None:
    """What pickletools refuses or reads otherwise is traced as the unpickler reads it."""
    (answers,) = oracle.ask([data])
    found = trace(data)
    assert any(answers), "one of the real unpicklers must ask for an import"
    assert [missing(answer, found) for answer in answers] == [[], []]


def test_a_prefix_is_truncated_and_not_another_fault() -> None:
    """Wherever a sound stream is cut, the trace says that it ends too early: readers then fetch more."""
    for data in _benign():
        for end in range(2, len(data)):
            fault = trace(data[:end]).fault
            assert fault is not None
            assert fault.code == "stream.truncated", (data, end, fault)
