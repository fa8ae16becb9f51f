"""A trace's opcodes, one after the other, as a person would read them."""

from __future__ import annotations

import struct
from bisect import bisect_right
from collections import deque
from collections.abc import Iterator
from itertools import islice

from picklegate.pickles import opcodes
from picklegate.pickles.records import Trace
from picklegate.report import Instruction

_SHOWN = 80
"""Characters of an argument that a listing shows."""
_READ = 1 << 10
"""Bytes of a literal that a listing decodes."""
_MOST_READ = 1 << 17
"""Opcodes that are read to find one."""
_AWAY = 40
"""Places that are known to begin an opcode, before which a reading is not begun."""


def disassemble(found: Trace, start: int | None = None) -> Iterator[Instruction]:
    """The instructions from ``start`` (an opcode's offset) to the end of the stream, none where its bytes were let go.

    What the loader reads as no opcodes is one instruction without a name. Ends where the bytes do.
    """
    data, skips = found.data, dict(found.skips)
    begin = found.start if start is None else start
    for pos, end in opcodes.instructions(data, begin, found.end + 1, skips):
        try:
            shown = _argument(data, pos, end)
        except (IndexError, struct.error, ValueError):
            return
        yield Instruction(offset=pos, opcode=opcodes.NAMES.get(data[pos], f"0x{data[pos]:02x}"), argument=shown)
        if data[pos] == 0x2E:
            return
        if end in skips:
            yield Instruction(offset=end, opcode="", argument=f"{skips[end] - end:,} bytes that are no opcodes")


def around(found: Trace, offset: int, *, before: int = 14, after: int = 3) -> tuple[Instruction, ...]:
    """The instruction at ``offset`` with some before and after it; empty where it is not to be found."""
    events = [event.offset for event in found.events]
    known = sorted({found.start, *events, *(item.offset for item in found.imports)})
    at = bisect_right(known, offset)
    # What is near is tried first: a long stream need not be read from its start.
    far = max((place for place in found.waypoints if place <= offset), default=found.start)
    for start in (known[max(0, at - _AWAY)], far):
        steps = islice(disassemble(found, start), _MOST_READ)
        last = deque[Instruction](maxlen=before + 1)
        for step in steps:
            last.append(step)
            if step.offset >= offset:
                break
        if last and last[-1].offset == offset:
            return (*last, *islice(steps, after))
    return ()


def _argument(data: opcodes.Buffer, pos: int, end: int) -> str:
    """The argument of the opcode ``data[pos:end]`` as text; raises IndexError, struct.error, ValueError."""
    op = data[pos]
    if op in opcodes.LITERALS:
        size = end - pos
        shown = repr(opcodes.literal(data, pos, _READ)) if size < _READ else _long(data, pos, size)
        return shown if len(shown) <= _SHOWN else f"{shown[: _SHOWN - 3]}..."
    if op in opcodes.LINES:
        middle = opcodes.line_end(data, pos + 1)
        lines = [data[pos + 1 : middle], data[middle + 1 : end - 1]][: opcodes.LINES[op]]
        return " ".join(map(_text, lines))
    return str(int.from_bytes(data[pos + 1 : end], "little")) if end > pos + 1 else ""


def _long(data: opcodes.Buffer, pos: int, size: int) -> str:
    start = opcodes.extent(data, pos)[0]
    return f"({size:,} bytes) {bytes(data[start : start + _SHOWN])!r}"


def _text(raw: bytes) -> str:
    return raw[:_SHOWN].decode("utf-8", "backslashreplace") + ("..." if len(raw) > _SHOWN else "")
