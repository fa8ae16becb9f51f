"""How often each opcode stands at the beginning of a traced stream."""

from __future__ import annotations

from collections import Counter
from itertools import repeat

from picklegate.pickles import opcodes
from picklegate.pickles.records import Trace

_WIDTHS = {0x80: 1, 0x95: 8, 0x71: 1, 0x72: 4, 0x68: 1, 0x6A: 4, 0x82: 1, 0x83: 2, 0x84: 4}
"""Opcodes with a little-endian number that push nothing of their own -> its width."""
_LINES = {0x63: 2, 0x69: 2, 0x70: 1, 0x67: 1, **dict.fromkeys(opcodes.LINES, 1)}
"""Opcodes with lines -> how many."""
_LENGTHS = [
    0 if op in _LINES or op in opcodes.COUNTED else opcodes.FIXED_NUMBERS.get(op, 1 + _WIDTHS.get(op, 0))
    for op in range(256)
]
"""The whole length of each opcode, 0 where its argument tells it."""


def opcode_counts(found: Trace, most: int) -> Counter[str]:
    """The names of the first ``most`` opcodes, counted; empty where the stream's bytes were let go."""
    data, pos = found.data, found.start
    end = min(found.end, len(data))
    skips = dict(found.skips)
    lengths, counted, seen = _LENGTHS, opcodes.COUNTED, list[int]()
    for _ in repeat(None, most):
        if pos >= end:
            break
        op = data[pos]
        seen.append(op)
        length = lengths[op]
        if length:
            pos += length
        else:
            try:
                if op in counted:
                    width = counted[op]
                    length = data[pos + 1] if width == 1 else int.from_bytes(data[pos + 1 : pos + 1 + width], "little")
                    pos += width + length
                else:
                    for _ in range(_LINES[op]):
                        pos = opcodes.line_end(data, pos + 1)
            except IndexError:
                break
            pos += 1
        if skips:
            pos = skips.get(pos, pos)
    counts: Counter[str] = Counter()
    for op, count in Counter(seen).items():
        counts[opcodes.NAMES.get(op, "unknown")] += count
    return counts
