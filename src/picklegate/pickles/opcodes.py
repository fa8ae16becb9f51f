"""The opcode table of protocols 0 to 5, and the literals that opcodes carry.

Arguments are read as CPython's C unpickler reads them (Modules/_pickle.c), not as
``pickletools`` does; docs/loaders.md lists where the two part. Where CPython would refuse an
argument (bad UTF-8, an escape it does not know) decoding here goes on: what follows is then
seen although it would not run.
"""

from __future__ import annotations

import codecs
import mmap
import re
import struct
from typing import Any

Buffer = bytes | mmap.mmap

NAMES: dict[int, str] = {
    0x28: "MARK", 0x2E: "STOP", 0x30: "POP", 0x31: "POP_MARK", 0x32: "DUP",
    0x46: "FLOAT", 0x49: "INT", 0x4A: "BININT", 0x4B: "BININT1", 0x4C: "LONG", 0x4D: "BININT2", 0x4E: "NONE",
    0x50: "PERSID", 0x51: "BINPERSID", 0x52: "REDUCE", 0x53: "STRING", 0x54: "BINSTRING", 0x55: "SHORT_BINSTRING",
    0x56: "UNICODE", 0x58: "BINUNICODE", 0x61: "APPEND", 0x62: "BUILD", 0x63: "GLOBAL", 0x64: "DICT",
    0x7D: "EMPTY_DICT", 0x65: "APPENDS", 0x67: "GET", 0x68: "BINGET", 0x69: "INST", 0x6A: "LONG_BINGET",
    0x6C: "LIST", 0x5D: "EMPTY_LIST", 0x6F: "OBJ", 0x70: "PUT", 0x71: "BINPUT", 0x72: "LONG_BINPUT",
    0x73: "SETITEM", 0x74: "TUPLE", 0x29: "EMPTY_TUPLE", 0x75: "SETITEMS", 0x47: "BINFLOAT",
    0x42: "BINBYTES", 0x43: "SHORT_BINBYTES",
    0x80: "PROTO", 0x81: "NEWOBJ", 0x82: "EXT1", 0x83: "EXT2", 0x84: "EXT4", 0x85: "TUPLE1", 0x86: "TUPLE2",
    0x87: "TUPLE3", 0x88: "NEWTRUE", 0x89: "NEWFALSE", 0x8A: "LONG1", 0x8B: "LONG4",
    0x8C: "SHORT_BINUNICODE", 0x8D: "BINUNICODE8", 0x8E: "BINBYTES8", 0x8F: "EMPTY_SET", 0x90: "ADDITEMS",
    0x91: "FROZENSET", 0x92: "NEWOBJ_EX", 0x93: "STACK_GLOBAL", 0x94: "MEMOIZE", 0x95: "FRAME",
    0x96: "BYTEARRAY8", 0x97: "NEXT_BUFFER", 0x98: "READONLY_BUFFER",
}  # fmt: skip

FIXED_NUMBERS = {0x4A: 5, 0x4B: 2, 0x4D: 3, 0x47: 9}
"""Opcodes that push a number -> their whole length in bytes."""

COUNTED = {
    0x55: 1, 0x43: 1, 0x8C: 1, 0x54: 4, 0x42: 4, 0x58: 4, 0x8D: 8, 0x8E: 8, 0x96: 8, 0x8A: 1, 0x8B: 4,
}  # fmt: skip
"""Opcodes that push what follows a little-endian byte count -> the width of that count."""

LINES = frozenset(b"FILSVP")
"""Opcodes that push what follows up to a newline."""

COUNTED_NUMBERS = frozenset((0x8A, 0x8B))
LINE_NUMBERS = frozenset(b"FIL")

BYTEARRAY = 0x96
_SHORT_TEXT = 0x8C
_SHORT = 1 << 10
"""Bytes of text that may be read from which on none with a length of one byte is cut."""
_BYTES = frozenset((0x43, 0x42, 0x8E, BYTEARRAY))
_BYTE_STRINGS = frozenset((0x55, 0x54))
_NUMBER = re.compile(rb"\s*[+-]?\w+", re.ASCII)


def line_end(data: Buffer, start: int) -> int:
    """The offset of the newline that ends the argument at ``start``; raises IndexError without one."""
    end = data.find(b"\n", start)
    if end < 0:
        raise IndexError("no newline")
    return end


def index(text: bytes) -> int:
    """A memo index in text (PUT, GET): decimal, NUL-cut; raises ValueError as the unpickler does."""
    if text.isdigit():
        return int(text)
    number = int(text.partition(b"\0")[0])
    if number < 0:
        raise ValueError("negative memo index")
    return number


def extent(data: Buffer, pos: int) -> tuple[int, int]:
    """(start, end) of the argument of the literal opcode at ``pos``; raises IndexError, struct.error."""
    op = data[pos]
    width = COUNTED.get(op)
    if width is None:
        return pos + 1, (line_end(data, pos + 1) if op in LINES else pos + FIXED_NUMBERS[op])
    start = pos + 1 + width
    return start, start + int.from_bytes(data[pos + 1 : start], "little")


class Cut(str):
    """A text of which only the beginning and the end were read."""

    __slots__ = ()


_MOST_BYTES = 1 << 28
"""Bytes of one bytes literal that are kept; a loader that is given more is not followed."""


def _cut(data: Buffer, start: int, end: int, most: int) -> bytes:
    if end - start <= most:
        return data[start:end]
    return data[start : start + most // 2] + b"\n" + data[end - most // 2 : end]


def _integer(text: bytes) -> Any:
    """INT and LONG: any base, NUL-cut, and ``00`` / ``01`` as booleans (``strtol(s, &end, 0)``)."""
    if text in (b"00", b"01"):
        return text == b"01"
    found = _NUMBER.match(text.partition(b"\0")[0][:4000])
    if not found:
        return 0
    digits = found[0].strip().rstrip(b"L")
    for base in (0, 8, 10):
        try:
            return int(digits, base)
        except ValueError:
            continue
    return 0


def _float(text: bytes) -> float:
    try:
        return float(text.partition(b"\0")[0])
    except ValueError:
        return 0.0


def _quoted(text: bytes) -> bytes:
    """STRING: outermost quotes stripped, escapes decoded (``PyBytes_DecodeEscape``)."""
    text = text.strip()
    if len(text) >= 2 and text[:1] == text[-1:] and text[:1] in (b"'", b'"'):
        text = text[1:-1]
    if b"\\" not in text:
        return text
    try:
        return codecs.escape_decode(text)[0]
    except ValueError:
        return text


def literal(data: Buffer, pos: int, most: int) -> Any:
    """The Python value that the literal opcode at ``pos`` pushes; text over ``most`` bytes is a Cut.

    Byte strings of Python 2 come as latin-1 text, BYTEARRAY8 as bytes.
    """
    if data[pos] == _SHORT_TEXT and most >= _SHORT:
        start = pos + 2
        return _unicode(data[start : start + data[pos + 1]])
    value = _literal(data, pos, most)
    return Cut(value) if type(value) is str and len(value) > most // 4 and _length(data, pos) > most else value


def _length(data: Buffer, pos: int) -> int:
    start, end = extent(data, pos)
    return end - start


def _literal(data: Buffer, pos: int, most: int) -> Any:
    op = data[pos]
    if op in FIXED_NUMBERS:
        raw = data[pos + 1 : pos + FIXED_NUMBERS[op]]
        if op == 0x47:
            return struct.unpack(">d", raw)[0] if len(raw) == 8 else 0.0
        return int.from_bytes(raw, "little", signed=op == 0x4A)
    start, end = extent(data, pos)
    raw = _cut(data, start, end, _MOST_BYTES if op in _BYTES else most)
    if op in COUNTED_NUMBERS:
        return int.from_bytes(raw, "little", signed=True)
    if op in _BYTES:
        return raw
    if op in _BYTE_STRINGS:
        return raw.decode("latin-1")
    if op == 0x46:
        return _float(raw)
    if op in (0x49, 0x4C):
        return _integer(raw)
    if op == 0x53:
        return _quoted(raw).decode("latin-1")
    if op == 0x56:
        try:
            return raw.decode("raw-unicode-escape")
        except UnicodeDecodeError:
            return raw.decode("latin-1")
    return _unicode(raw)


def _unicode(raw: bytes) -> str:
    try:
        return raw.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        return raw.decode("utf-8", "replace")
