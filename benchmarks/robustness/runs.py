"""Passing over runs of plain data against the plain loop: python -m benchmarks.robustness.runs [COUNT] [SEED].

Streams with runs, mutated, must give the same trace whether runs are passed over or not. Every test run has 2,000.
"""

from __future__ import annotations

import datetime as dt
import io
import pickle
import random
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from picklegate.judging.arguments import contents_of
from picklegate.pickles import Trace, runs, trace, tracer

BATCH = 20
"""Elements of a batch here, where picklers put 1,000 into one."""

Maker = Callable[[random.Random, int], Any]

ITEMS: tuple[Maker, ...] = (
    lambda draw, _: draw.choice((1, 300, 70_000, 1 << 40, 0.5, None, True)),
    lambda _, at: at,
    lambda _, at: at / 7,
    lambda _, at: f"item {at}",
    lambda draw, _: "word"[: draw.randrange(4)],
    lambda _, at: (at, at / 7),
    lambda _, at: (f"{at:05d}", (at, None)),
    lambda draw, at: [at] * draw.choice((0, 1, 3, 40)),
    lambda _, at: {"a": at, "b": at / 3},
    lambda _, at: [[at, at], [at]],
    lambda _, at: bytes([at % 256]) * 9,
    lambda _, at: dt.timedelta(at),
    lambda draw, at: (at, draw.choice("ab")),
)


_BASE: Any = pickle._Pickler


class _Pickler(_BASE):  # type: ignore[misc]
    _BATCHSIZE = BATCH


_PIECES = (b"N", b"0", b"h\x01", b"q\x05", b"\x94", b"(", b"e", b"u", b"cos\nsystem\n", b"2")


class _Object:
    """An object whose state is what a stream is about."""


def value(draw: random.Random) -> Any:
    """A container of some hundred like elements, here and there with another among them."""
    make = draw.choice(ITEMS)
    count = draw.choice((60, 120, 300))
    items = [make(draw, at) for at in range(count)]
    if draw.random() < 0.3:
        items[draw.randrange(count)] = draw.choice((dt.date(2026, 1, 1), "x" * 300, {}, _Object(), items[0]))
    kind = draw.randrange(4)
    made: Any = items if kind < 2 else {f"key {at}" if kind == 2 else at: item for at, item in enumerate(items)}
    if draw.random() < 0.4:
        holder = _Object()
        holder.__dict__ = {"held": made, "again": made}
        made = holder
    return [made, items[-1]]


def stream(draw: random.Random) -> bytes:
    """The pickle of a value in any protocol, in frames of some hundred bytes."""
    file = io.BytesIO()
    pickler = _Pickler(file, draw.randrange(6))
    pickler.framer._FRAME_SIZE_TARGET = draw.choice((100, 400, 1 << 16))
    pickler.dump(value(draw))
    return file.getvalue()


def mutated(draw: random.Random, data: bytes) -> bytes:
    """The stream, mostly with some bytes changed, cut out, doubled or put in, or cut at its end."""
    body = bytearray(data)
    for _ in range(draw.choice((0, 1, 1, 2, 3))):
        at = draw.randrange(len(body) or 1)
        edit = draw.randrange(6)
        if edit == 0:
            body[at : at + 1] = bytes([draw.randrange(256)])
        elif edit == 1:
            body[at:at] = draw.choice(_PIECES)
        elif edit == 2:
            del body[at : at + draw.randint(1, 4)]
        elif edit == 3:
            start = draw.randrange(len(body) or 1)
            body[at:at] = body[start : start + draw.randint(1, 40)]
        elif edit == 4:
            body[at:at] = b"j" + draw.randrange(400).to_bytes(4, "little")
        else:
            del body[len(body) - draw.randint(0, 200) :]
    return bytes(body) or b"."


def streams(seed: int, count: int) -> Iterator[bytes]:
    """So many streams, each several times, as it is and mutated."""
    draw = random.Random(seed)
    for at in range(count):
        if at % 20 == 0:
            data = stream(draw)
        yield mutated(draw, data) if at % 20 else data


def told(found: Trace) -> tuple[Any, ...]:
    """All that a trace says that must not depend on how the stream was read."""
    calls = [(event.kind, event.opcode, event.offset, event.name, event.count) for event in found.events]
    given = [contents_of((event.args, event.kwargs)) for event in found.events]
    held = [(one.texts.keys(), set(one.blobs), {item.dotted for item in one.globals}, one.unresolved) for one in given]
    fault = found.fault and (found.fault.code, found.fault.offset)
    notes = {(note.code, note.offset) for note in found.notes}
    nested = [told(inner) for _, inner in found.nested]
    return calls, held, found.imports, found.opcodes, found.end, fault, notes, nested


@contextmanager
def skipping() -> Iterator[list[int]]:
    """Read every stream as if it were a long one; the list gets the opcodes of each run that is passed over."""
    passed: list[int] = []
    batch = runs.Runs.batch

    def counted(*args: Any) -> Any:
        found = batch(*args)
        if found is not None:
            passed.append(found.opcodes)
        return found

    kept = tracer._SMALL, tracer._KEEP, runs._BATCH
    tracer._SMALL, tracer._KEEP, runs._BATCH = 0, 8, BATCH
    runs.Runs.batch = counted  # type: ignore[assignment]
    runs._compiled.cache_clear()
    try:
        yield passed
    finally:
        tracer._SMALL, tracer._KEEP, runs._BATCH = kept
        runs.Runs.batch = batch  # type: ignore[method-assign]
        runs._compiled.cache_clear()


def differing(data: list[bytes]) -> tuple[list[bytes], int]:
    """The streams of which the two readings say different things, and the opcodes that were passed over in all."""
    plain = [told(trace(each)) for each in data]
    with skipping() as passed:
        return [each for each, first in zip(data, plain, strict=True) if told(trace(each)) != first], sum(passed)


def main(count: int = 100_000, seed: int = 1) -> None:
    """Compare so many streams, and print those that differ."""
    at_once, wrong, passed = 2_000, 0, 0
    for start in range(0, count, at_once):
        found, opcodes = differing(list(streams(seed + start, at_once)))
        wrong, passed = wrong + len(found), passed + opcodes
        for data in found:
            print(data.hex())
    print(f"{count:,} streams, {passed:,} opcodes passed over, {wrong:,} read in two ways")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
