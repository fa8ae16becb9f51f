"""Bounded decompression: the bytes that a loader would get before the first fault."""

from __future__ import annotations

import bz2
import importlib
import lzma
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from picklegate.containers.source import Source

_CHUNK = 1 << 18
_PIECE = 1 << 20
_FREE = 1 << 26
"""Bytes up to which no ratio counts: arrays of zeros shrink ten-thousandfold under bz2 and xz."""
_MEMORY = 1 << 28
"""Bytes of dictionary that an xz or lzma header may ask for."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Inflated:
    """What came out; ``error`` says why it ended early, ``bound`` that it would go on past a limit."""

    data: bytes
    error: str = ""
    bound: bool = False


class MissingLibraryError(Exception):
    """A codec needs a library that is not installed; the message is the library's name."""


def inflate(codec: str, source: Source, *, most: int, ratio: int, beginning: int | None = None) -> Inflated:
    """Decompress ``source`` with all members of a multi-member stream, as far as ``most`` bytes.

    With ``beginning``, only about that many bytes are wanted. Bytes after a complete stream that start
    no other one are ignored, as loaders do. Raises MissingLibraryError.
    """
    found, damaged = _run(codec, source, most, ratio, beginning, source.size)
    if damaged is not None:
        # An engine gives nothing of the input that holds an error; readers of smaller pieces get more.
        found, _ = _run(codec, source, most, ratio, beginning, damaged)
    return found


def _run(
    codec: str, source: Source, most: int, ratio: int, beginning: int | None, careful: int
) -> tuple[Inflated, int | None]:
    """Decompress in chunks, and from ``careful`` on byte by byte; also the offset of a chunk that holds an error."""
    parts: list[bytes] = []
    size = place = last = 0
    complete: int | None = None
    error = ""
    damaged = None
    try:
        engine = CODECS[codec]()
        while True:
            data = b""
            if engine.needs_input:
                last = place
                data = source.read(place, 1 if place >= careful else min(_CHUNK, careful - place))
                place += len(data)
                if not data:
                    error = "the compressed data ends early"
                    break
            part = engine.decompress(data, _PIECE)
            parts.append(part)
            size += len(part)
            if size > most or size > max(_FREE, ratio * place):
                return Inflated(data=b"".join(parts), bound=True), None
            if beginning is not None and size >= beginning:
                break
            if engine.eof:
                complete = size
                place -= len(engine.unused_data or b"")  # lz4 says None
                if place >= source.size:
                    break
                if codec == "gzip":
                    place += _zeros(source, place)
                engine = CODECS[codec]()
    except (zlib.error, lzma.LZMAError, OSError, ValueError, EOFError, RuntimeError, MemoryError) as problem:
        if "limit" in str(problem):  # on memory, which loaders do not set
            return Inflated(data=b"".join(parts), bound=True), None
        error = str(problem) or type(problem).__name__
        damaged = last
    if size == complete:
        return Inflated(data=b"".join(parts)), None
    return Inflated(data=b"".join(parts), error=error), damaged


def _zeros(source: Source, place: int) -> int:
    """How many zeros stand at ``place``, which gzip's readers pass over between members (CPython's Lib/gzip.py)."""
    count = 0
    while data := source.read(place + count, _CHUNK):
        rest = data.lstrip(b"\0")
        count += len(data) - len(rest)
        if rest:
            break
    return count


class _Zlib:
    """The decompressor of zlib with the interface of bz2's and lzma's."""

    def __init__(self, window_bits: int) -> None:
        self._engine = zlib.decompressobj(window_bits)
        self.needs_input = True

    @property
    def eof(self) -> bool:
        return self._engine.eof

    @property
    def unused_data(self) -> bytes:
        return self._engine.unused_data

    def decompress(self, data: bytes, most: int) -> bytes:
        out = self._engine.decompress(self._engine.unconsumed_tail + data, most)
        self.needs_input = not self._engine.unconsumed_tail and len(out) < most
        return out


class _ZipLzma:
    """LZMA as method 14 of a zip stores it: version, length of the properties, properties, raw data."""

    def __init__(self) -> None:
        self._head = b""
        self._engine: lzma.LZMADecompressor | None = None

    @property
    def needs_input(self) -> bool:
        return self._engine is None or self._engine.needs_input

    @property
    def eof(self) -> bool:
        return self._engine is not None and self._engine.eof

    @property
    def unused_data(self) -> bytes:
        return b""

    def decompress(self, data: bytes, most: int) -> bytes:
        if self._engine is None:
            self._head += data
            if len(self._head) < 9:
                return b""
            properties = self._head[4]
            dictionary = int.from_bytes(self._head[5:9], "little")
            if self._head[2:4] != b"\5\0" or properties >= 225 or dictionary > _MEMORY:
                raise ValueError("bad LZMA properties")
            chosen = {
                "id": lzma.FILTER_LZMA1,
                "dict_size": dictionary,
                "lc": properties % 9,
                "lp": properties // 9 % 5,
                "pb": properties // 45,
            }
            self._engine = lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=[chosen])
            data = self._head[9:]
        return self._engine.decompress(data, most)


class _Zstd:
    """The decompressor of zstandard with the interface of bz2's; fed in slices, for its output has no bound."""

    _SLICE = 1 << 10

    def __init__(self) -> None:
        self._library = _library("zstandard")
        self._engine: Any = self._library.ZstdDecompressor(max_window_size=_MEMORY).decompressobj()
        self._held = b""

    @property
    def needs_input(self) -> bool:
        return not self._held

    @property
    def eof(self) -> bool:
        return bool(self._engine.eof)

    @property
    def unused_data(self) -> bytes:
        return bytes(self._engine.unused_data) + self._held

    def decompress(self, data: bytes, most: int) -> bytes:  # noqa: ARG002  the interface of the others
        self._held += data
        piece, self._held = self._held[: self._SLICE], self._held[self._SLICE :]
        try:
            return bytes(self._engine.decompress(piece))
        except self._library.ZstdError as error:
            raise ValueError(str(error)) from error


def _library(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise MissingLibraryError(name.partition(".")[0]) from error


CODECS: dict[str, Callable[[], Any]] = {
    "gzip": lambda: _Zlib(31),
    "zlib": lambda: _Zlib(15),
    "deflate": lambda: _Zlib(-15),
    "bz2": bz2.BZ2Decompressor,
    # Readers tell the format of each stream anew (CPython's Lib/lzma.py).
    "xz": lambda: lzma.LZMADecompressor(lzma.FORMAT_AUTO, memlimit=_MEMORY),
    "lzma": lambda: lzma.LZMADecompressor(lzma.FORMAT_AUTO, memlimit=_MEMORY),
    "zip-lzma": _ZipLzma,
    "lz4": lambda: _library("lz4.frame").LZ4FrameDecompressor(),
    "zstd": _Zstd,
}
"""Codec -> a maker of engines, each with ``decompress(data, most)``, ``needs_input``, ``eof`` and ``unused_data``."""
