"""How often each opcode stands at the beginning of a traced stream."""

from __future__ import annotations

from collections import Counter
from itertools import islice

from picklegate.pickles import opcodes
from picklegate.pickles.records import Trace


def opcode_counts(found: Trace, most: int) -> Counter[str]:
    """The names of the first ``most`` opcodes, counted; empty where the stream's bytes were let go."""
    data = found.data
    steps = opcodes.instructions(data, found.start, found.end, dict(found.skips))
    seen = Counter(data[pos] for pos, _ in islice(steps, most))
    counts: Counter[str] = Counter()
    for op, count in seen.items():
        counts[opcodes.NAMES.get(op, "unknown")] += count
    return counts
