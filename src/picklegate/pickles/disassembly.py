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
_AWAY = 40
"""Places that are known to begin an opcode, before which a reading is not begun."""

_WIDTHS = {0x80: 1, 0x95: 8, 0x71: 1, 0x72: 4, 0x68: 1, 0x6A: 4, 0x82: 1, 0x83: 2, 0x84: 4}
"""Opcodes with a little-endian number -> its width."""
_NUMBERED_LINES = frozenset(b"pg")
_NAMES = frozenset(b"ci")


def disassemble(found: Trace, start: int | None = None) -> Iterator[Instruction]:
    """The instructions from ``start`` (an opcode's offset) to the end of the stream, none where its bytes were let go.

    What the loader reads as no opcodes is one instruction without a name. Ends where the bytes do.
    """
    data, pos = found.data, found.start if start is None else start
    skips = dict(found.skips)
    while pos < min(found.end + 1, len(data)):
        try:
            end, shown = _argument(data, pos)
        except (IndexError, struct.error, ValueError):
            return
        yield Instruction(offset=pos, opcode=opcodes.NAMES.get(data[pos], f"0x{data[pos]:02x}"), argument=shown)
        if data[pos] == 0x2E:
            return
        pos = end
        if pos in skips:
            yield Instruction(offset=pos, opcode="", argument=f"{skips[pos] - pos:,} bytes that are no opcodes")
            pos = skips[pos]


def around(found: Trace, offset: int, *, before: int = 14, after: int = 3) -> tuple[Instruction, ...]:
    """The instruction at ``offset`` with some before and after it; empty where it is not to be found."""
    events = [event.offset for event in found.events]
    known = sorted({found.start, *events, *(item.offset for item in found.imports)})
    at = bisect_right(known, offset)
    # What is near is tried first: a long stream need not be read from its start.
    for start in (known[max(0, at - _AWAY)], found.start):
        steps = disassemble(found, start)
        last = deque[Instruction](maxlen=before + 1)
        for step in steps:
            last.append(step)
            if step.offset >= offset:
                break
        if last and last[-1].offset == offset:
            return (*last, *islice(steps, after))
    return ()


def _argument(data: opcodes.Buffer, pos: int) -> tuple[int, str]:
    """(offset of the next opcode, the argument as text); raises IndexError, struct.error, ValueError."""
    op = data[pos]
    if op in _NAMES:
        middle = opcodes.line_end(data, pos + 1)
        end = opcodes.line_end(data, middle + 1)
        return end + 1, f"{_text(data[pos + 1 : middle])} {_text(data[middle + 1 : end])}"
    if op in _NUMBERED_LINES:
        end = opcodes.line_end(data, pos + 1)
        return end + 1, _text(data[pos + 1 : end])
    if width := _WIDTHS.get(op, 0):
        return pos + 1 + width, str(int.from_bytes(data[pos + 1 : pos + 1 + width], "little"))
    if op in opcodes.COUNTED or op in opcodes.LINES or op in opcodes.FIXED_NUMBERS:
        end = pos + opcodes.FIXED_NUMBERS[op] if op in opcodes.FIXED_NUMBERS else opcodes.extent(data, pos)[1]
        size = end - pos
        shown = repr(opcodes.literal(data, pos, _READ)) if size < _READ else _long(data, pos, size)
        return end + (op in opcodes.LINES), shown if len(shown) <= _SHOWN else f"{shown[: _SHOWN - 3]}..."
    return pos + 1, ""


def _long(data: opcodes.Buffer, pos: int, size: int) -> str:
    start = opcodes.extent(data, pos)[0]
    return f"({size:,} bytes) {bytes(data[start : start + _SHOWN])!r}"


def _text(raw: bytes) -> str:
    return raw[:_SHOWN].decode("utf-8", "backslashreplace") + ("..." if len(raw) > _SHOWN else "")
