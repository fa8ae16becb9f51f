"""The ``.npy`` format: a header, then the raw items or, for an array of objects, a pickle.

https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
"""

from __future__ import annotations

import ast
import re
from typing import Any

from picklegate.containers import raw
from picklegate.containers.context import Context
from picklegate.containers.dtypes import described_size, items
from picklegate.containers.source import Source

_MAGIC = b"\x93NUMPY"
_MOST_HEADER = 1 << 16
_LONG = re.compile(r"(\d)L\b")
"""Integers as Python 2 wrote them."""


def is_numbers(source: Source, length: int) -> bool:
    """Whether the first array is known to hold no objects, and to be all of a file of ``length`` bytes."""
    size, count, begin = _header(source, 0)
    return size is not None and size >= 0 and count is not None and begin + size * count == length


def read(context: Context, source: Source, name: str, depth: int) -> str:
    """Trace the object arrays of a file, which may hold several arrays one after another."""
    place = index = 0
    while source.read(place, len(_MAGIC)) == _MAGIC and index < context.limits.max_streams:
        size, count, begin = _header(source, place)
        if size is None or count is None:
            context.bound("npy.unknown-header", "the header of the array cannot be read", name, place)
            # An array of objects may hide behind it.
            size = -1
        index += 1
        if size >= 0:
            place = begin + size * (count or 0)
            if place > source.size and not source.partial:
                context.bound("npy.truncated", "the array is longer than the file", name, begin)
            continue
        label = f"{name or 'object'}: array {index}" if index > 1 else name or "object array"
        pickles = raw.read(context, source, label, depth, start=begin, claimed=True)
        if pickles is None:
            context.bound("container.no-stream", "an array of objects has no readable pickle", name, begin)
            return "npy"
        place = pickles.end
    if place < source.size:
        # The next ``numpy.load`` of an open file takes what is no array for a pickle.
        raw.read(context, source, f"{name or 'stream'} behind {index} arrays", depth, start=place)
    return "npy"


def _header(source: Source, place: int) -> tuple[int | None, int | None, int]:
    """Bytes of an item (-1 for objects), items, and the offset of what follows; None for what cannot be told."""
    fixed = source.read(place, 12)
    width = 2 if fixed[6:7] == b"\x01" else 4
    length = int.from_bytes(fixed[8 : 8 + width], "little")
    begin = place + 8 + width
    if length > _MOST_HEADER:
        return None, None, begin + length
    text = source.read(begin, length).decode("utf-8" if fixed[6:7] == b"\x03" else "latin-1", "replace")
    header: Any = None
    for form in (text, _LONG.sub(r"\1", text)):
        try:
            header = ast.literal_eval(form.strip())
            break
        except (ValueError, SyntaxError, MemoryError, RecursionError, TypeError):
            continue
    if not isinstance(header, dict):
        return None, None, begin + length
    return described_size(header.get("descr")), items(header.get("shape")), begin + length
