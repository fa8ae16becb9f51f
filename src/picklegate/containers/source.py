"""Bytes that are read by offset, wherever they are: a file, a part of one, or memory."""

from __future__ import annotations

import io
import mmap
import os
from typing import BinaryIO

Buffer = bytes | mmap.mmap

_SMALL = 1 << 20
"""Bytes up to which a local file is read as a whole at once."""
_HELD = 1 << 30
"""Bytes up to which a local file that must be one buffer is read; a longer one is mapped."""


class LocalFile:
    """A regular file of this machine, read by offset.

    It is read and not mapped: a mapped file that somebody cuts ends the process with SIGBUS. Each read raises OSError
    where the file has become shorter than it was.
    """

    def __init__(self, raw: io.FileIO, size: int) -> None:
        """Read from an open file of so many bytes."""
        self._raw = raw
        self.size = size
        self._whole: Buffer | None = None

    def read(self, offset: int, length: int) -> bytes:
        """``length`` bytes from ``offset`` on."""
        if self._whole is not None:
            return self._whole[offset : offset + length]
        parts = []
        while length > 0:
            part = os.pread(self._raw.fileno(), length, offset)
            if not part:
                raise OSError("the file became shorter while it was read")
            parts.append(part)
            offset += len(part)
            length -= len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def whole(self) -> Buffer:
        """All of it as one buffer."""
        if self._whole is None:
            if self.size <= _HELD:
                self._whole = self.read(0, self.size)
            else:
                self._whole = mmap.mmap(self._raw.fileno(), self.size, access=mmap.ACCESS_READ)
        return self._whole

    def check(self) -> None:
        """Raise OSError where the file is shorter than it was."""
        if os.fstat(self._raw.fileno()).st_size < self.size:
            raise OSError("the file became shorter while it was read")


class Source:
    """A run of ``size`` bytes; offsets count from its first byte, and reads end at its last.

    ``OSError`` from a file passes through.
    """

    __slots__ = ("_base", "_start", "partial", "size")

    def __init__(
        self,
        base: BinaryIO | LocalFile | Buffer,
        start: int = 0,
        size: int | None = None,
        *,
        partial: bool = False,
    ) -> None:
        """Read from ``base``; ``size`` may be left out for a buffer.

        ``partial`` says that more follows, of which is known that nothing in it matters.
        """
        self._base = base
        self.partial = partial
        self._start = start
        if size is None:
            if not isinstance(base, (bytes, mmap.mmap)):
                raise TypeError("the size of a file must be given")
            size = len(base) - start
        self.size = size

    @classmethod
    def of(cls, file: BinaryIO) -> Source:
        """The whole of a seekable file; a small local one is read at once."""
        if isinstance(file, io.BytesIO):
            return cls(file.getvalue())
        raw = getattr(file, "raw", file)
        size = file.seek(0, io.SEEK_END)
        if isinstance(raw, io.FileIO) and hasattr(os, "pread"):
            if size <= _SMALL:
                file.seek(0)
                return cls(file.read())
            return cls(LocalFile(raw, size), 0, size)
        return cls(file, 0, size)

    @property
    def resident(self) -> bool:
        """Whether reading costs no request: the bytes are in memory or on a disk of this machine."""
        return isinstance(self._base, (bytes, mmap.mmap, LocalFile))

    @property
    def is_whole(self) -> bool:
        """Whether it is all of a buffer or a local file, which ``prefix`` gives without a copy for each call."""
        if isinstance(self._base, LocalFile):
            return self.size == self._base.size
        return isinstance(self._base, (bytes, mmap.mmap)) and self.size == len(self._base)

    def check(self) -> None:
        """Raise OSError where a local file has become shorter since it was opened."""
        if isinstance(self._base, LocalFile):
            self._base.check()

    def read(self, offset: int, length: int) -> bytes:
        """At most ``length`` bytes from ``offset`` on; fewer only at the end."""
        length = min(length, self.size - offset)
        if length <= 0 or offset < 0:
            return b""
        begin = self._start + offset
        if isinstance(self._base, LocalFile):
            return self._base.read(begin, length)
        if isinstance(self._base, (bytes, mmap.mmap)):
            return self._base[begin : begin + length]
        self._base.seek(begin)
        parts = []
        while length > 0 and (part := self._base.read(length)):
            parts.append(part)
            length -= len(part)
        return b"".join(parts)

    def prefix(self, length: int) -> Buffer:
        """At least the first ``length`` bytes as one buffer, or all of them; no copy of what is whole."""
        if length >= self.size and self.is_whole:
            if isinstance(self._base, LocalFile):
                return self._base.whole()
            if isinstance(self._base, (bytes, mmap.mmap)):
                return self._base
        return self.read(0, length)

    def tail(self, length: int) -> bytes:
        """The last ``length`` bytes, or all."""
        return self.read(max(0, self.size - length), length)

    def find(self, wanted: bytes, start: int = 0) -> int:
        """The offset of the first ``wanted`` from ``start`` on; -1 without one."""
        step = 1 << 22
        for begin in range(start, self.size, step):
            place = self.read(begin, step + len(wanted) - 1).find(wanted)
            if place >= 0:
                return begin + place
        return -1

    def zeros(self, start: int) -> int:
        """How many zero bytes stand at ``start``."""
        end = start
        while data := self.read(end, 1 << 18):
            rest = data.lstrip(b"\0")
            end += len(data) - len(rest)
            if rest:
                break
        return end - start

    def fetched(self, most: int) -> Source:
        """The same bytes in memory where reading them costs requests and they are at most ``most``."""
        return self if self.resident or self.size > most else Source(self.read(0, self.size))

    def window(self, start: int, size: int | None = None) -> Source:
        """The part that begins at ``start``, cut at this source's end."""
        start = min(max(start, 0), self.size)
        left = self.size - start
        return Source(self._base, self._start + start, left if size is None else max(0, min(size, left)))
