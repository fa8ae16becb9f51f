"""The opcodes that write numbers, text, bytes and memo entries.

Each function takes ``pick``, which chooses among opcodes: the first is CPython's own.
"""

from __future__ import annotations

import struct
from collections.abc import Callable

Pick = Callable[..., str]


def line(opcode: bytes, text: str) -> bytes:
    """An opcode whose argument ends with the line."""
    return opcode + text.encode() + b"\n"


def boolean(value: bool, protocol: int, pick: Pick) -> bytes:  # noqa: FBT001  it is the value written
    """NEWTRUE and NEWFALSE, or the INT of old protocols."""
    if pick("new" if protocol >= 2 else "int", "new", "int") == "new":
        return b"\x88" if value else b"\x89"
    return b"I01\n" if value else b"I00\n"


def integer(value: int, protocol: int, pick: Pick) -> bytes:
    """BININT and its short forms, INT, LONG, LONG1 or LONG4."""
    fits = -(2**31) <= value < 2**31
    opcode = pick("BIN" if fits and protocol else "INT" if fits else "LONG", "INT", "LONG", "LONG1")
    if opcode == "INT":
        return line(b"I", str(value))
    if opcode == "BIN":
        if 0 <= value < 256:
            return b"K" + bytes([value])
        return b"M" + struct.pack("<H", value) if 0 <= value < 65536 else b"J" + struct.pack("<i", value)
    if opcode == "LONG" and protocol < 2:
        return line(b"L", f"{value}L")
    data = value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True) if value else b""
    if len(data) > 1 and data[-1] == 0xFF and data[-2] & 0x80:
        data = data[:-1]
    return b"\x8a" + bytes([len(data)]) + data if len(data) < 256 else b"\x8b" + struct.pack("<i", len(data)) + data


def number(value: float, protocol: int, pick: Pick) -> bytes:
    """BINFLOAT or FLOAT."""
    binary = pick("BINFLOAT" if protocol else "FLOAT", "FLOAT") == "BINFLOAT"
    return b"G" + struct.pack(">d", value) if binary else line(b"F", repr(value))


def text(value: str, protocol: int, pick: Pick) -> bytes:
    """One of the seven string opcodes; the Python 2 ones only for ASCII."""
    data = value.encode("utf-8", "surrogatepass")
    usual = "SHORT_BINUNICODE" if protocol >= 4 else "BINUNICODE" if protocol else "UNICODE"
    others = ["UNICODE", "SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8"]
    if value.isascii():
        others += ["STRING", "SHORT_BINSTRING", "BINSTRING"]
    opcode = pick(usual, *others)
    if opcode == "UNICODE":
        escaped = value.replace("\\", "\\u005c").replace("\0", "\\u0000").replace("\n", "\\u000a")
        escaped = escaped.replace("\r", "\\u000d").replace("\x1a", "\\u001a")
        return b"V" + escaped.encode("raw-unicode-escape") + b"\n"
    if opcode == "STRING":
        return line(b"S", ascii(value))
    if opcode == "SHORT_BINSTRING" and len(data) < 256:
        return b"U" + bytes([len(data)]) + data
    if opcode in ("BINSTRING", "SHORT_BINSTRING"):
        return b"T" + struct.pack("<i", len(data)) + data
    if opcode == "SHORT_BINUNICODE" and len(data) < 256:
        return b"\x8c" + bytes([len(data)]) + data
    if opcode == "BINUNICODE8":
        return b"\x8d" + struct.pack("<Q", len(data)) + data
    return b"X" + struct.pack("<I", len(data)) + data


def binary(value: bytes, pick: Pick) -> bytes:
    """One of the three bytes opcodes of protocol 3 and later."""
    opcode = pick("SHORT_BINBYTES", "BINBYTES", "BINBYTES8")
    if opcode == "SHORT_BINBYTES" and len(value) < 256:
        return b"C" + bytes([len(value)]) + value
    if opcode == "BINBYTES8":
        return b"\x8e" + struct.pack("<Q", len(value)) + value
    return b"B" + struct.pack("<I", len(value)) + value


def memo_put(index: int, protocol: int, pick: Pick) -> bytes:
    """MEMOIZE, PUT or BINPUT; ``index`` must be the number of entries so far."""
    usual = "MEMOIZE" if protocol >= 4 else "BINPUT" if protocol else "PUT"
    opcode = pick(usual, "PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE")
    if opcode == "MEMOIZE":
        return b"\x94"
    if opcode == "PUT":
        return line(b"p", str(index))
    return b"q" + bytes([index]) if index < 256 and opcode == "BINPUT" else b"r" + struct.pack("<I", index)


def memo_get(index: int, protocol: int, pick: Pick) -> bytes:
    """GET or BINGET."""
    opcode = pick("BINGET" if protocol else "GET", "GET", "LONG_BINGET")
    if opcode == "GET":
        return line(b"g", str(index))
    return b"h" + bytes([index]) if index < 256 and opcode == "BINGET" else b"j" + struct.pack("<I", index)
