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
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

Buffer = bytes | mmap.mmap
_NO_SKIPS: Mapping[int, int] = MappingProxyType({})

_TABLE: dict[int, tuple[str, str, str]] = {
    0x42: ("BINBYTES", "+4", "text"), 0x43: ("SHORT_BINBYTES", "+1", "text"), 0x46: ("FLOAT", "line", "number"),
    0x47: ("BINFLOAT", "8", "number"), 0x49: ("INT", "line", "number"), 0x4A: ("BININT", "4", "number"),
    0x4B: ("BININT1", "1", "number"), 0x4C: ("LONG", "line", "number"), 0x4D: ("BININT2", "2", "number"),
    0x50: ("PERSID", "line", ""), 0x53: ("STRING", "line", "text"), 0x54: ("BINSTRING", "+4", "text"),
    0x55: ("SHORT_BINSTRING", "+1", "text"), 0x56: ("UNICODE", "line", "text"), 0x58: ("BINUNICODE", "+4", "text"),
    0x63: ("GLOBAL", "lines", ""), 0x67: ("GET", "line", ""), 0x68: ("BINGET", "1", ""), 0x69: ("INST", "lines", ""),
    0x6A: ("LONG_BINGET", "4", ""), 0x70: ("PUT", "line", ""), 0x71: ("BINPUT", "1", ""),
    0x72: ("LONG_BINPUT", "4", ""), 0x80: ("PROTO", "1", ""), 0x82: ("EXT1", "1", ""), 0x83: ("EXT2", "2", ""),
    0x84: ("EXT4", "4", ""), 0x8A: ("LONG1", "+1", "number"), 0x8B: ("LONG4", "+4", "number"),
    0x8C: ("SHORT_BINUNICODE", "+1", "text"), 0x8D: ("BINUNICODE8", "+8", "text"), 0x8E: ("BINBYTES8", "+8", "text"),
    0x95: ("FRAME", "8", ""), 0x96: ("BYTEARRAY8", "+8", "text"), 0x28: ("MARK", "", ""),
    0x29: ("EMPTY_TUPLE", "", ""), 0x2E: ("STOP", "", ""), 0x30: ("POP", "", ""), 0x31: ("POP_MARK", "", ""),
    0x32: ("DUP", "", ""), 0x4E: ("NONE", "", ""), 0x51: ("BINPERSID", "", ""), 0x52: ("REDUCE", "", ""),
    0x5D: ("EMPTY_LIST", "", ""), 0x61: ("APPEND", "", ""), 0x62: ("BUILD", "", ""), 0x64: ("DICT", "", ""),
    0x65: ("APPENDS", "", ""), 0x6C: ("LIST", "", ""), 0x6F: ("OBJ", "", ""), 0x73: ("SETITEM", "", ""),
    0x74: ("TUPLE", "", ""), 0x75: ("SETITEMS", "", ""), 0x7D: ("EMPTY_DICT", "", ""), 0x81: ("NEWOBJ", "", ""),
    0x85: ("TUPLE1", "", ""), 0x86: ("TUPLE2", "", ""), 0x87: ("TUPLE3", "", ""), 0x88: ("NEWTRUE", "", ""),
    0x89: ("NEWFALSE", "", ""), 0x8F: ("EMPTY_SET", "", ""), 0x90: ("ADDITEMS", "", ""), 0x91: ("FROZENSET", "", ""),
    0x92: ("NEWOBJ_EX", "", ""), 0x93: ("STACK_GLOBAL", "", ""), 0x94: ("MEMOIZE", "", ""),
    0x97: ("NEXT_BUFFER", "", ""), 0x98: ("READONLY_BUFFER", "", ""),
}  # fmt: skip
"""Each opcode's name, its argument and what it pushes of that.

An argument is a little-endian number of so many bytes ("4"), what follows a count of so many bytes ("+4"), one "line"
or two "lines"; "text" stands for text and bytes.
"""

NAMES = {op: name for op, (name, _, _) in _TABLE.items()}
FIXED_NUMBERS = {op: 1 + int(size) for op, (_, size, pushed) in _TABLE.items() if pushed and size.isdigit()}
"""Opcodes that push a number -> their whole length in bytes."""
COUNTED = {op: int(size) for op, (_, size, _) in _TABLE.items() if size.startswith("+")}
"""Opcodes that push what follows a little-endian byte count -> the width of that count."""
LINES = {op: 1 + (size == "lines") for op, (_, size, _) in _TABLE.items() if size.startswith("line")}
"""Opcodes with lines -> how many."""
LITERALS = frozenset(op for op, (_, _, pushed) in _TABLE.items() if pushed) | frozenset(b"P")
"""Opcodes whose argument is a value by itself."""
TEXTS = frozenset(op for op, (_, _, pushed) in _TABLE.items() if pushed == "text")
NUMBERS = frozenset(op for op, (_, _, pushed) in _TABLE.items() if pushed == "number")
COUNTED_NUMBERS = frozenset(op for op, (_, size, pushed) in _TABLE.items() if pushed == "number" and "+" in size)
LINE_NUMBERS = frozenset(op for op, (_, size, pushed) in _TABLE.items() if pushed == "number" and size == "line")
LENGTHS = [
    0 if op in COUNTED or op in LINES else 1 + int(_TABLE[op][1] or 0) if op in _TABLE else 1 for op in range(256)
]
"""The whole length of each opcode, 0 where its argument tells it."""

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
    """(start, end) of the argument of the opcode at ``pos``, without count and newlines; raises IndexError."""
    op = data[pos]
    width = COUNTED.get(op)
    if width is not None:
        start = pos + 1 + width
        return start, start + int.from_bytes(data[pos + 1 : start], "little")
    end = pos
    for _ in range(LINES.get(op, 0)):
        end = line_end(data, end + 1)
    return pos + 1, end if op in LINES else pos + LENGTHS[op]


def following(data: Buffer, pos: int) -> int:
    """The offset of the opcode behind the one at ``pos``; raises IndexError where a line has no end."""
    op = data[pos]
    return pos + LENGTHS[op] if LENGTHS[op] else extent(data, pos)[1] + (op in LINES)


def instructions(data: Buffer, start: int, end: int, skips: Mapping[int, int] = _NO_SKIPS) -> Iterator[tuple[int, int]]:
    """(offset, end) of each opcode from ``start`` on that begins before ``end``; ends where the data does.

    ``skips`` are offset -> offset of what is no opcodes.
    """
    lengths, counted, pos = LENGTHS, COUNTED, start
    end = min(end, len(data))
    while pos < end:
        begin, op = pos, data[pos]
        if length := lengths[op]:
            pos += length
        elif op in counted:
            width = counted[op]
            pos += 1 + width + int.from_bytes(data[pos + 1 : pos + 1 + width], "little")
        else:
            try:
                pos = extent(data, pos)[1] + 1
            except IndexError:
                return
        yield begin, pos
        if skips:
            pos = skips.get(pos, pos)


class Cut(str):
    """A text of which only the beginning and the end were read."""

    __slots__ = ()


_LONGEST_NUMBER = 1 << 20
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


_NUMBER_FORMS = {
    op: struct.Struct(form).unpack_from for op, form in ((0x4B, "B"), (0x4D, "<H"), (0x4A, "<i"), (0x47, ">d"))
}


def number(data: Buffer, pos: int) -> Any:
    """The number that the literal opcode at ``pos`` pushes."""
    form = _NUMBER_FORMS.get(data[pos])
    if form is None or pos + 9 > len(data):
        return _literal(data, pos, _LONGEST_NUMBER)
    return form(data, pos + 1)[0]


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
