"""Text and bytes that a stream computes while loading: joined, decoded, decompressed."""

from __future__ import annotations

import base64
import binascii
import bz2
import codecs
import lzma
import zlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from picklegate.pickles.opcodes import Cut
from picklegate.pickles.rules.iterators import items_of
from picklegate.pickles.values import Dict, Event, Set, Unresolved

if TYPE_CHECKING:
    from picklegate.pickles.rules.protocol import Effects

_MOST = 1 << 20
"""Bytes or characters of input and output of one computation."""

_MOST_COMPUTED = 1 << 25
"""The same, of all computations of one stream."""

_MOST_STREAMS = 64
"""Compressed streams that follow one another in what one computation is given."""

_METHODS = {
    "str": ("join", "lower", "upper", "strip", "lstrip", "rstrip", "replace", "encode", "split", "swapcase", "casefold",
            "capitalize", "title", "removeprefix", "removesuffix", "__add__", "__str__", "__getitem__"),
    "bytes": ("join", "decode", "strip", "lstrip", "rstrip", "replace", "hex", "fromhex", "lower", "upper", "__add__",
              "__getitem__"),
}  # fmt: skip

_CODECS = frozenset((
    "ascii", "latin1", "latin-1", "iso-8859-1", "utf-8", "utf8", "utf-16", "utf-32", "utf-7",
    "rot13", "rot_13", "rot-13", "hex", "hex_codec", "base64", "base64_codec", "unicode_escape", "unicode-escape",
    "raw_unicode_escape", "escape_decode", "quopri", "cp1252",
))  # fmt: skip


def _inflate(data: bytes) -> bytes:
    return zlib.decompressobj(47 if data[:2] == b"\x1f\x8b" else 15).decompress(data, _MOST)


def _all(engine: Callable[[], Any], data: bytes) -> bytes:
    """What all the streams that follow one another in ``data`` decompress to."""
    found = b""
    for _ in range(_MOST_STREAMS):
        one = engine()
        found += bytes(one.decompress(data, _MOST))
        data = one.unused_data.lstrip(b"\0") if one.eof else b""
        if not data or len(found) >= _MOST:
            return found
    raise ValueError("too many streams")


_DECODERS: dict[str, Callable[[Any], Any]] = {
    "base64.b64decode": base64.b64decode,
    "base64.standard_b64decode": base64.b64decode,
    "base64.urlsafe_b64decode": base64.urlsafe_b64decode,
    "base64.decodebytes": base64.b64decode,
    "base64.b32decode": base64.b32decode,
    "base64.b16decode": base64.b16decode,
    "base64.b85decode": base64.b85decode,
    "base64.a85decode": base64.a85decode,
    "binascii.a2b_base64": binascii.a2b_base64,
    "binascii.unhexlify": binascii.unhexlify,
    "binascii.a2b_hex": binascii.unhexlify,
    "builtins.bytes.fromhex": bytes.fromhex,
    "builtins.bytearray.fromhex": bytes.fromhex,
    "zlib.decompress": _inflate,
    "gzip.decompress": lambda data: _all(lambda: zlib.decompressobj(31), data),
    "bz2.decompress": lambda data: _all(bz2.BZ2Decompressor, data),
    "lzma.decompress": lambda data: _all(lzma.LZMADecompressor, data),
}


def decoded(name: str, data: Any) -> Any:
    """``data`` through the decoder of that canonical name; raises ValueError, EOFError or the codec's own error."""
    return _DECODERS[name](data)


def _size(value: Any) -> int:
    if isinstance(value, (str, bytes)):
        return len(value)
    if isinstance(value, (list, tuple)):
        return sum(map(_size, value)) + len(value)
    return 1


def _known(value: Any) -> bool:
    """Whether the machine knows the whole value."""
    if isinstance(value, (list, tuple)) and type(value) not in (Dict, Set):
        return all(map(_known, value))
    return value is None or (isinstance(value, (str, bytes, int, float, slice)) and type(value) is not Cut)


def _computed(function: Callable[..., Any]) -> Any:
    def rule(effects: Effects, event: Event) -> Any:
        spent = effects.computed > _MOST_COMPUTED
        # ``"".join(reversed(text))``: what an iterator gives is known too.
        read = [items_of(effects, arg) if type(arg) is Event else arg for arg in event.args]
        args = tuple(arg if items is None else items for arg, items in zip(event.args, read, strict=True))
        if spent or event.kwargs or not _known(args) or _size(args) > _MOST:
            return None
        effects.computed += _size(args)
        try:
            result = function(*args)
        except Exception:  # noqa: BLE001  whatever the real call would raise, nothing is known of its result
            return Unresolved("computation", event.offset)
        effects.computed += _size(result)
        return result if _size(result) <= _MOST else None

    return rule


def _codec(function: Callable[..., Any]) -> Callable[..., Any]:
    def run(data: Any, encoding: str = "utf-8", *_errors: str) -> Any:
        if encoding.lower() in ("zlib", "zlib_codec", "zip"):
            return _inflate(data)
        if encoding.lower() not in _CODECS:
            raise LookupError(encoding)
        return function(data, encoding)

    return run


def _method(kind: type, name: str) -> Callable[..., Any]:
    function = getattr(kind, name)
    if name in ("encode", "decode"):
        return _codec(function)
    if name == "replace":
        return lambda text, old, new, *count: function(text, old, new[: _MOST // (len(text) + 1)], *count)
    return function  # type: ignore[no-any-return]


def _bytes(*args: Any) -> bytes:
    if args and isinstance(args[0], int):
        raise TypeError("a size, not content")
    return bytes(args[0], *args[1:]) if args and isinstance(args[0], str) else bytes(*args)


def _str(*args: Any) -> str:
    return str(args[0], *args[1:]) if args and isinstance(args[0], bytes) else str(args[0])


def wrapped(_effects: Effects, event: Event) -> Any:
    """A view of the memory of ``data``, which stands for it; that of a bytearray stays one."""
    data = event.args[0] if len(event.args) == 1 and not event.kwargs else None
    return data if type(data) is bytes else None


RULES: dict[str, Any] = {
    "pyarrow.lib.py_buffer": wrapped,
    "builtins.memoryview": wrapped,
    "builtins.memoryview.toreadonly": wrapped,
    "builtins.memoryview.tobytes": wrapped,
    "builtins.bytes.tobytes": wrapped,
    **{
        f"builtins.{kind.__name__}.{name}": _computed(_method(kind, name))
        for kind in (str, bytes)
        for name in _METHODS[kind.__name__]
    },
    **{name: _computed(function) for name, function in _DECODERS.items()},
    "builtins.bytes": _computed(_bytes),
    "builtins.bytearray": _computed(_bytes),
    "builtins.str": _computed(_str),
    "builtins.chr": _computed(chr),
    "builtins.slice": _computed(slice),
    "operator.add": _computed(lambda a, b: a + b if isinstance(a, (str, bytes, list, tuple)) else None),
    "operator.concat": _computed(lambda a, b: a + b),
    "operator.iadd": _computed(lambda a, b: a + b if isinstance(a, (str, bytes)) else None),
    "codecs.encode": _computed(_codec(codecs.encode)),
    "codecs.decode": _computed(_codec(codecs.decode)),
    "codecs.utf_8_decode": _computed(lambda data, *_: (bytes(data).decode(), len(data))),
    "codecs.latin_1_encode": _computed(lambda text, *_: (text.encode("latin-1"), len(text))),
}
"""Canonical names of pure functions over text and bytes -> rules as reflection.py defines them."""
