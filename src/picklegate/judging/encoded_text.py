"""Texts that stand in a stream as bytes: in numpy's arrays, in UTF-16 and UTF-32, decoded by a call."""

from __future__ import annotations

import re
from encodings.aliases import aliases
from typing import Any

from picklegate.pickles import Event

_ARRAYS = re.compile(r"numpy\._?core\.(multiarray|_multiarray_umath|numeric)\.(scalar|_reconstruct|_frombuffer)")
_TEXT_TYPE = re.compile(r"[<>=|]?([USa])(\d*)")
_MOST = 1 << 16
"""Bytes of one value that are read as text."""


def is_array(known: str) -> bool:
    """Whether the callable makes an array or a scalar of numpy's out of bytes."""
    return _ARRAYS.fullmatch(known) is not None


def of_array(event: Event) -> tuple[str, ...]:
    """The texts in the bytes of an array or a scalar that holds text; ``event`` makes it or writes its state."""
    parts = event.args[0] if len(event.args) == 1 and type(event.args[0]) is tuple else event.args
    kinds = [match for part in parts if (match := _text_type(part))]
    if not kinds:
        return ()
    kind, width = kinds[0]
    found: dict[str, None] = {}
    for data in (part for part in parts if isinstance(part, (bytes, str))):
        raw = (data if isinstance(data, bytes) else data.encode("latin-1", "replace"))[:_MOST]
        size = 4 * width if kind == "U" else width
        for start in range(0, len(raw), size or len(raw) or 1):
            item = raw[start : start + (size or len(raw))]
            for text in _wide(item) if kind == "U" else (item.decode("utf-8", "replace"),):
                found[text.rstrip("\0")] = None
    return tuple(text for text in found if text)


def _text_type(value: Any) -> tuple[str, int] | None:
    """(kind, characters) of a numpy data type that is text."""
    if type(value) is not Event or value.known != "numpy.dtype" or not value.args:
        return None
    match = _TEXT_TYPE.fullmatch(value.args[0]) if isinstance(value.args[0], str) else None
    return (match[1], int(match[2] or 0)) if match else None


def _wide(data: bytes) -> tuple[str, ...]:
    """Bytes as UTF-32 of both byte orders."""
    found = []
    for encoding in ("utf-32-le", "utf-32-be"):
        try:
            found.append(data[: len(data) // 4 * 4].decode(encoding))
        except UnicodeDecodeError:
            continue
    return tuple(found)


def of_call(event: Event) -> str:
    """The text that ``str(bytes, encoding)`` or a codec's call makes; empty where it makes none that can be told."""
    parts: list[Any] = [*event.args, *event.kwargs[1::2]]
    names = [part for part in parts if isinstance(part, str) and len(part) < _LONGEST_NAME]
    data = [bytes_in(part) for part in parts]
    for raw in data:
        for name in names:
            encoding = name.lower().replace("-", "_")
            if raw and (encoding in aliases or encoding in _ENCODINGS):
                try:
                    return raw[:_MOST].decode(encoding, "replace")
                except (LookupError, ValueError):
                    continue
    return ""


_ENCODINGS = frozenset(aliases.values())
_LONGEST_NAME = 32
_DEPTH = 4


def bytes_in(value: Any, depth: int = 0) -> bytes:
    """The bytes that a value is, or that a memoryview, bytearray or the like of it is."""
    if isinstance(value, bytes):
        return value
    if type(value) is Event and value.kind == "call" and depth < _DEPTH and value.known in _BYTES:
        return next((raw for part in value.args if (raw := bytes_in(part, depth + 1))), b"")
    return b""


_BYTES = frozenset(("builtins.memoryview", "builtins.bytearray", "builtins.bytes", "io.BytesIO"))


def readings(data: bytes) -> tuple[str, ...]:
    """The texts that bytes may be, in UTF-8 with a few bad bytes or NULs, in UTF-16 and in UTF-32."""
    head = data[:256]
    if not head:
        return ()
    if head[:4] in _WIDE_MARKS:
        return tuple(filter(_mostly_printable, (data[:_MOST].decode("utf-32", "ignore"),)))
    if head[:2] in _MARKS:
        return tuple(filter(_mostly_printable, (data[:_MOST].decode("utf-16", "ignore"),)))
    nuls = head.count(0)
    if nuls * 3 < len(head):
        plain = sum(1 for byte in head if 32 <= byte < 127 or byte in b"\t\n\r" or byte >= 0xC2)
        if plain < _PLAIN * (len(head) - nuls):
            return ()
        text = data[:_MOST].decode("utf-8", "replace").replace("\0", " ")
        return (text,) if _mostly_printable(text) else ()
    width = "32" if nuls * 3 > 2 * len(head) else "16"
    found = (data[:_MOST].decode(f"utf-{width}-{order}", "ignore") for order in ("le", "be"))
    return tuple(text.rstrip("\0") for text in found if _mostly_printable(text.rstrip("\0")))


_WIDE_MARKS = (b"\xff\xfe\0\0", b"\0\0\xfe\xff")
_MARKS = (b"\xff\xfe", b"\xfe\xff")
_PLAIN = 0.9
_BLANK = str.maketrans("\t\n\r\0", "    ")


def _mostly_printable(text: str) -> bool:
    head = text[:256].translate(_BLANK)
    ascii_signs = sum(1 for char in head if " " <= char <= "~")
    return len(head) > 1 and ascii_signs >= _PLAIN * len(head)
