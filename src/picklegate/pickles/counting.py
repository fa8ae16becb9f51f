"""How often each opcode stands at the beginning of a traced stream."""

from __future__ import annotations

from collections import Counter

from picklegate.pickles import opcodes
from picklegate.pickles.records import Trace

_WIDTHS = {0x80: 1, 0x95: 8, 0x71: 1, 0x72: 4, 0x68: 1, 0x6A: 4, 0x82: 1, 0x83: 2, 0x84: 4}
"""Opcodes with a little-endian number that push nothing of their own -> its width."""
_LINES = {0x63: 2, 0x69: 2, 0x70: 1, 0x67: 1}
"""Opcodes with lines that are no literals -> how many."""


def opcode_counts(found: Trace, most: int) -> Counter[str]:
    """The names of the first ``most`` opcodes, counted; empty where the stream's bytes were let go."""
    data, pos = found.data, found.start
    end = min(found.end, len(data))
    skips = dict(found.skips)
    seen: Counter[int] = Counter()
    for _ in range(most):
        if pos >= end:
            break
        op = data[pos]
        seen[op] += 1
        try:
            pos = _next(data, pos, op)
        except (IndexError, ValueError):
            break
        pos = skips.get(pos, pos)
    return Counter({opcodes.NAMES.get(op, "unknown"): count for op, count in seen.items()})


def _next(data: opcodes.Buffer, pos: int, op: int) -> int:
    """The offset behind the opcode and its argument; raises IndexError where the argument does not end."""
    if op in opcodes.COUNTED or op in opcodes.FIXED_NUMBERS:
        return opcodes.extent(data, pos)[1]
    lines = 1 if op in opcodes.LINES else _LINES.get(op, 0)
    if not lines:
        return pos + 1 + _WIDTHS.get(op, 0)
    for _ in range(lines):
        pos = opcodes.line_end(data, pos + 1)
    return pos + 1
