"""Bytes that are read by place, wherever they are: a file, a part of one, or memory."""

from __future__ import annotations

import io
import mmap
from typing import BinaryIO

Buffer = bytes | mmap.mmap


_SMALL = 1 << 16
"""Bytes up to which a file is read: mapping it takes longer."""


class Source:
    """A run of ``size`` bytes; offsets count from its first byte, and reads end at its last.

    ``OSError`` from a file passes through.
    """

    __slots__ = ("_base", "_start", "size")

    def __init__(self, base: BinaryIO | Buffer, start: int = 0, size: int | None = None) -> None:
        """Read from ``base``; ``size`` may be left out for a buffer."""
        self._base = base
        self._start = start
        if size is None:
            if not isinstance(base, (bytes, mmap.mmap)):
                raise TypeError("the size of a file must be given")
            size = len(base) - start
        self.size = size

    @classmethod
    def of(cls, file: BinaryIO) -> Source:
        """The whole of a seekable file; a local one is mapped into memory, or read where it is small."""
        if isinstance(file, io.BytesIO):
            return cls(file.getvalue())
        raw = getattr(file, "raw", file)
        size = file.seek(0, io.SEEK_END)
        if isinstance(raw, io.FileIO):
            if size <= _SMALL:
                file.seek(0)
                return cls(file.read())
            try:
                return cls(mmap.mmap(raw.fileno(), 0, access=mmap.ACCESS_READ))
            except (ValueError, OSError):
                pass  # empty, or no regular file: read as any other
        return cls(file, 0, size)

    @property
    def resident(self) -> bool:
        """Whether reading costs no request: the bytes are in memory or mapped."""
        return isinstance(self._base, (bytes, mmap.mmap))

    @property
    def is_buffer(self) -> bool:
        """Whether it is one whole buffer, which ``prefix`` gives without a copy."""
        return isinstance(self._base, (bytes, mmap.mmap)) and self.size == len(self._base)

    def read(self, offset: int, length: int) -> bytes:
        """At most ``length`` bytes from ``offset`` on; fewer only at the end."""
        length = min(length, self.size - offset)
        if length <= 0 or offset < 0:
            return b""
        place = self._start + offset
        if isinstance(self._base, (bytes, mmap.mmap)):
            return self._base[place : place + length]
        self._base.seek(place)
        parts = []
        while length > 0 and (part := self._base.read(length)):
            parts.append(part)
            length -= len(part)
        return b"".join(parts)

    def prefix(self, length: int) -> Buffer:
        """At least the first ``length`` bytes as one buffer, or all of them; never a copy of a whole map."""
        if length >= self.size and isinstance(self._base, (bytes, mmap.mmap)) and self.is_buffer:
            return self._base
        return self.read(0, length)

    def fetched(self, most: int) -> Source:
        """The same bytes in memory where reading them costs requests and they are at most ``most``."""
        return self if self.resident or self.size > most else Source(self.read(0, self.size))

    def window(self, start: int, size: int | None = None) -> Source:
        """The part that begins at ``start``, cut at this source's end."""
        start = min(max(start, 0), self.size)
        left = self.size - start
        return Source(self._base, self._start + start, left if size is None else max(0, min(size, left)))
