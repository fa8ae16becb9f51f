"""``.npy`` files: a header, then raw items or, for objects, a pickle. https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html"""

from __future__ import annotations

import ast
import re
from typing import Any

from picklegate.containers import raw
from picklegate.containers.dtypes import described_size, items
from picklegate.containers.source import Source
from picklegate.containers.walk import Walk

_MAGIC = b"\x93NUMPY"
_MOST_HEADER = 1 << 16
_LONG = re.compile(r"(\d)L\b")
"""Integers as Python 2 wrote them."""


def read(walk: Walk, source: Source, name: str, depth: int) -> str:
    """Trace the object arrays of a file, which may hold several arrays one after another."""
    place = 0
    for index in range(walk.limits.max_streams):
        if not source.read(place, len(_MAGIC)) == _MAGIC:
            break
        header, begin = _header(source, place)
        size, count = described_size(header.get("descr")), items(header.get("shape"))
        if size is None or count is None:
            walk.bound("npy.unknown-header", "the header of the array cannot be read", name, place)
            break
        label = f"{name}: array {index + 1}" if index else name
        if size < 0:
            before = len(walk.streams)
            rest = source.window(begin)
            raw.read(walk, rest, label or "object array", depth, claimed=True)
            if len(walk.streams) == before and count:
                walk.bound("container.no-stream", "an array of objects without a readable pickle", name, begin)
            break
        place = begin + size * count
    return "npy"


def _header(source: Source, place: int) -> tuple[dict[str, Any], int]:
    """The header as a dict, empty where it is none, and the offset of what follows it."""
    fixed = source.read(place, 12)
    width = 2 if fixed[6:7] == b"\x01" else 4
    length = int.from_bytes(fixed[8 : 8 + width], "little")
    begin = place + 8 + width
    if length > _MOST_HEADER:
        return {}, begin
    text = source.read(begin, length).decode("utf-8" if fixed[6:7] == b"\x03" else "latin-1", "replace")
    for form in (text, _LONG.sub(r"\1", text)):
        try:
            value = ast.literal_eval(form.strip())
        except (ValueError, SyntaxError, MemoryError, RecursionError, TypeError):
            continue
        if isinstance(value, dict):
            return value, begin + length
    return {}, begin + length
