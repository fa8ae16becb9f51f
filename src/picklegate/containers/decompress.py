"""Bounded decompression: the bytes that a loader would get before the first fault."""

from __future__ import annotations

import bz2
import importlib
import lzma
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from picklegate.containers.detect import FRAMED
from picklegate.containers.source import Source

_CHUNK = 1 << 18
_PIECE = 1 << 20
_MEMORY = 1 << 28
"""Bytes of dictionary that an xz or lzma header may ask for."""
_LZMA_MEMORY = "Memory usage limit exceeded"
"""All that tells this error of CPython's lzma from the others."""
_SKIPPABLE = b"\x2a\x4d\x18"
_MOST_SKIPPABLE = 1 << 16
_GZIP_MAGIC = b"\x1f\x8b\x08"
_HEADER_CHECKSUM, _EXTRA, _NAME, _COMMENT = 2, 4, 8, 16
_LONGEST_HEADER = 1 << 21


@dataclass(frozen=True, kw_only=True, slots=True)
class Inflated:
    """What came out; ``error`` says why it ended early, ``bound`` that it would go on past a limit.

    ``partial`` says that more would come, of which is known that nothing in it matters.
    """

    data: bytes
    error: str = ""
    bound: bool = False
    partial: bool = False


class MissingLibraryError(Exception):
    """A codec needs a library that is not installed; the message is the library's name."""


def inflate(
    codec: str, source: Source, *, most: int, free: int, ratio: int, beginning: int | None = None, careful: bool = True
) -> Inflated:
    """Decompress ``source`` with all members of a multi-member stream, as far as ``most`` bytes.

    More than ``free`` bytes may be no more than ``ratio`` for each compressed one. With ``beginning``, only about that
    many bytes are wanted. Bytes after a complete stream that start no other one are ignored, as loaders do. With
    ``careful``, what is damaged is read byte by byte up to the damage. Raises MissingLibraryError.
    """
    bounds = (most, free, ratio, beginning)
    inflated, damaged = _run(codec, source, bounds, source.size)
    if damaged is not None and careful:
        # An engine gives nothing of the input that holds an error; readers of smaller pieces get more.
        inflated, _ = _run(codec, source, bounds, damaged)
    return inflated


def after_skippable(source: Source, start: int = 0) -> int:
    """Where the frames end that every reader of zstd and lz4 passes over: a magic number, a length, any bytes."""
    place = start
    for _ in range(_MOST_SKIPPABLE):
        head = source.read(place, 8)
        if len(head) < 8 or head[0] >> 4 != 5 or head[1:4] != _SKIPPABLE:
            break
        place = min(place + 8 + int.from_bytes(head[4:], "little"), source.size)
    return place


def _run(
    codec: str, source: Source, bounds: tuple[int, int, int, int | None], careful: int
) -> tuple[Inflated, int | None]:
    """Decompress in chunks, and from ``careful`` on byte by byte; also the offset of a chunk that holds an error."""
    most, free, ratio, beginning = bounds
    parts: list[bytes] = []
    size = last = 0
    place = after_skippable(source) if codec in FRAMED else 0
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
            if size > most or size > max(free, ratio * place):
                return Inflated(data=b"".join(parts), bound=True), None
            if beginning is not None and size >= beginning:
                break
            if engine.eof:
                complete = size
                place -= len(engine.unused_data or b"")  # lz4 says None
                if codec == "gzip":
                    place += source.zeros(place)  # as CPython's Lib/gzip.py does
                elif codec in FRAMED:
                    place = after_skippable(source, place)
                if place >= source.size:
                    break
                engine = CODECS[codec]()
    except (zlib.error, lzma.LZMAError, OSError, ValueError, EOFError, RuntimeError, MemoryError) as problem:
        if str(problem) == _LZMA_MEMORY:  # a bound that loaders do not set
            return Inflated(data=b"".join(parts), bound=True), None
        error = str(problem) or type(problem).__name__
        damaged = last
    if size == complete:
        return Inflated(data=b"".join(parts)), None
    return Inflated(data=b"".join(parts), error=error), damaged


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


class _Gzip:
    """Gzip as Python's own reader takes it: flags that zlib refuses, and a checksum of the header, are passed over.

    So it reads whatever one of the two reads (CPython's Lib/gzip.py; zlib's inflate.c; RFC 1952).
    """

    unused_data = b""

    def __init__(self) -> None:
        self.eof = False
        self.needs_input = True
        self._waiting = b""
        self._engine: Any = None
        self._checksum = self._size = 0

    def decompress(self, data: bytes, most: int) -> bytes:
        if self._engine is None:
            self._waiting += data
            begin = _gzip_header(self._waiting)
            if begin is None:
                return b""
            data, self._waiting = self._waiting[begin:], b""
            self._engine = zlib.decompressobj(-15)
        if not self._engine.eof:
            out = bytes(self._engine.decompress(self._engine.unconsumed_tail + data, most))
            self._checksum = zlib.crc32(out, self._checksum)
            self._size += len(out)
            self._waiting = self._engine.unused_data
            self.needs_input = (
                len(self._waiting) < 8 if self._engine.eof else not self._engine.unconsumed_tail and len(out) < most
            )
            return out
        self._waiting += data
        if len(self._waiting) >= 8:
            if struct.unpack_from("<LL", self._waiting) != (self._checksum, self._size & 0xFFFFFFFF):
                raise ValueError("the checksum or the length is wrong")
            self.eof, self.unused_data = True, self._waiting[8:]
        return b""


def _gzip_header(data: bytes) -> int | None:
    """Where the header of a gzip member ends; None for one that is not whole. Raises ValueError for what is none."""
    if not _GZIP_MAGIC.startswith(data[:3]):
        raise ValueError("no header of gzip")
    if len(data) > _LONGEST_HEADER:
        raise ValueError("a header of gzip that is too long")
    if len(data) < 10:
        return None
    flags, place = data[3], 10
    if flags & _EXTRA:
        place += 2 + int.from_bytes(data[place : place + 2], "little")
    for flag in (_NAME, _COMMENT):
        if flags & flag:
            place = data.find(b"\0", place) + 1
            if not place:
                return None
    place += 2 if flags & _HEADER_CHECKSUM else 0
    return place if place <= len(data) else None


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


def _zstd() -> Any:
    """Python's own decompressor of zstd (3.14 on), or that of zstandard."""
    try:
        library = importlib.import_module("compression.zstd")
    except ImportError:
        return _Zstd()
    options = {library.DecompressionParameter.window_log_max: _MEMORY.bit_length() - 1}
    return library.ZstdDecompressor(options=options)


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
    "gzip": _Gzip,
    "zlib": lambda: _Zlib(15),
    "deflate": lambda: _Zlib(-15),
    "bz2": bz2.BZ2Decompressor,
    # Readers tell the format of each stream anew (CPython's Lib/lzma.py).
    "xz": lambda: lzma.LZMADecompressor(lzma.FORMAT_AUTO, memlimit=_MEMORY),
    "lzma": lambda: lzma.LZMADecompressor(lzma.FORMAT_AUTO, memlimit=_MEMORY),
    "zip-lzma": _ZipLzma,
    "lz4": lambda: _library("lz4.frame").LZ4FrameDecompressor(),
    "zstd": _zstd,
}
"""Codec -> a maker of engines, each with ``decompress(data, most)``, ``needs_input``, ``eof`` and ``unused_data``."""
