"""Elements of a storage in the order of a contiguous tensor, without numpy."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from math import prod
from typing import Any

CHUNK = 1 << 20
"""Bytes that are copied at a time."""
_CASTS: dict[int, Any] = {1: "B", 2: "H", 4: "I", 8: "Q"}


def contiguous(shape: Sequence[int], stride: Sequence[int]) -> bool:
    """Whether the elements lie one after another in the storage."""
    expected = 1
    for side, step in zip(reversed(shape), reversed(stride), strict=True):
        if side != 1 and step != expected:
            return False
        expected *= side
    return True


def extent(shape: Sequence[int], stride: Sequence[int]) -> int:
    """How many elements of the storage lie between the tensor's first and last one, both included; 0 without any."""
    if 0 in shape:
        return 0
    return 1 + sum((side - 1) * step for side, step in zip(shape, stride, strict=True))


def overlapping(shape: Sequence[int], stride: Sequence[int]) -> bool:
    """Whether two places of the tensor may be one element of the storage, other than by plain expansion (stride 0)."""
    steps = sorted((step, side) for side, step in zip(shape, stride, strict=True) if side > 1 and step)
    reach = 0
    for step, side in steps:
        if step <= reach:
            return True
        reach += step * (side - 1)
    return False


def gathered(storage: Any, size: int, offset: int, shape: Sequence[int], stride: Sequence[int]) -> Iterator[bytes]:
    """The tensor's bytes in pieces; ``size`` is that of an element in bytes, ``offset`` counts elements."""
    view = memoryview(storage)
    if contiguous(shape, stride):
        begin, end = offset * size, (offset + prod(shape)) * size
        for place in range(begin, end, CHUNK):
            yield bytes(view[place : min(place + CHUNK, end)])
        return
    items = view[: len(view) // size * size].cast(_CASTS[size])
    *outer, row = shape
    *steps, step = stride
    for places in itertools.product(*map(range, outer)):
        begin = offset + sum(place * one for place, one in zip(places, steps, strict=True))
        if step == 0:
            yield bytes(items[begin : begin + 1]) * row
        else:
            yield items[begin : begin + (row - 1) * step + 1 : step].tobytes()
