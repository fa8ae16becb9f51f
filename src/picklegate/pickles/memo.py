"""Which memo entries are worth keeping: those that some GET may fetch."""

from __future__ import annotations

import re
import struct
from collections.abc import Container
from itertools import islice, repeat

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
