"""What numpy's type descriptions say of an array's bytes: their count, and whether they are a pickle instead."""

from __future__ import annotations

import re
from typing import Any

_CODE = re.compile(r"[<>=|]?([a-zA-Z?])([0-9]*)(\[[^\]]{1,40}\])?")
_NATIVE = {
    "?": 1, "b": 1, "B": 1, "h": 2, "H": 2, "i": 4, "I": 4, "l": 8, "L": 8, "q": 8, "Q": 8, "e": 2, "f": 4, "d": 8,
    "g": 16, "F": 8, "D": 16, "G": 32, "c": 1, "M": 8, "m": 8, "p": 8, "P": 8,
}  # fmt: skip
"""Bytes of a type code without a number (64-bit Linux)."""
_NAMES = {
    "bool": 1, "int8": 1, "uint8": 1, "int16": 2, "uint16": 2, "int32": 4, "uint32": 4, "int64": 8, "uint64": 8,
    "float16": 2, "float32": 4, "float64": 8, "float128": 16, "complex64": 8, "complex128": 16,
    "int": 8, "float": 8, "complex": 16,
}  # fmt: skip
_DEEP = 16


def item_size(code: str) -> int | None:
    """Bytes of one item of a type code such as ``"<f8"``; -1 for objects, None where it cannot be told."""
    if code in _NAMES:
        return _NAMES[code]
    if code == "object":
        return -1
    match = _CODE.fullmatch(code)
    if match is None:
        return None
    kind, digits = match[1], match[2]
    if kind == "O":
        return -1
    if kind in "SaV":
        return int(digits[:12] or 0)
    if kind == "U":
        return 4 * int(digits[:12] or 0)
    if digits:
        return int(digits[:4]) if kind in "biufcmM" else None
    return _NATIVE.get(kind)


def described_size(description: Any, deep: int = 0) -> int | None:
    """The same for the ``descr`` of an ``.npy`` header: a code, or a list of fields (name, description[, shape])."""
    if isinstance(description, str):
        return item_size(description)
    if not isinstance(description, list) or deep > _DEEP:
        return None
    total = 0
    for field in description:
        if not isinstance(field, tuple) or len(field) not in (2, 3):
            return None
        size = described_size(field[1], deep + 1)
        if size is None or size < 0:
            return size
        count = items(field[2]) if len(field) == 3 else 1
        if count is None:
            return None
        total += size * count
    return total


def items(shape: Any) -> int | None:
    """How many items an array of this shape has."""
    if isinstance(shape, int):
        shape = (shape,)
    if not isinstance(shape, (tuple, list)) or len(shape) > 64:
        return None
    count = 1
    for side in shape:
        if not isinstance(side, int) or side < 0:
            return None
        count *= side
    return count
