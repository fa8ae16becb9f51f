"""Which memo entries are set, and which are worth keeping: those that some GET may fetch."""

from __future__ import annotations

import re
import struct
from collections.abc import Container
from itertools import islice, repeat

from picklegate.pickles.budget import Exhausted
from picklegate.pickles.opcodes import Buffer

_EVERY = range(1 << 64)
_GET = re.compile(rb"g\s*\+?([0-9_]{1,20})")
_U32 = struct.Struct("<I").unpack_from


def wanted(data: Buffer, start: int) -> Container[int]:
    """A superset of the memo indexes that some GET opcode in the buffer names."""
    found = set(range(256))
    pos = data.find(b"j", start)
    for _ in repeat(None, len(data) >> 4):
        if pos < 0:
            break
        if pos + 5 <= len(data):
            found.add(_U32(data, pos + 1)[0])
        pos = data.find(b"j", pos + 1)
    else:
        return _EVERY
    many = len(data) >> 4
    texts = list(islice(_GET.finditer(data, start), many))
    if len(texts) == many or any(len(match[1]) == 20 for match in texts):
        return _EVERY
    for match in texts:
        try:
            found.add(int(match[1]))
        except ValueError:
            continue
    return found


class Sparse(set[int]):
    """The memo entries that are set beyond those that are set without a gap."""

    def __init__(self, most: int) -> None:
        """Begin with none; more than ``most`` are too many."""
        self._most = most

    def occupy(self, slot: int, dense: int) -> int:
        """Count memo entry ``slot`` as set; how many entries from 0 on are set without a gap.

        MEMOIZE writes at the number of entries (``memo_size`` in C, ``len(memo)`` in Python), so an
        entry written twice counts once.
        """
        if slot > dense:
            self.add(slot)
            if len(self) > self._most:
                raise Exhausted(f"more than {self._most:,} values in the memo")
        elif slot == dense:
            dense += 1
            while dense in self:
                self.remove(dense)
                dense += 1
        return dense
