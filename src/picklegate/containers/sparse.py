"""A copy of a source of which only those parts exist that reading has asked for."""

from __future__ import annotations

import mmap
import sys
from collections.abc import Iterable

from picklegate.containers.source import Source

AT_ONCE = 1 << 16
"""Bytes that are fetched where reading goes on after a gap."""
_BRIDGED = 1 << 20
"""A gap up to this size is fetched: asking again would take longer."""

_LINE_END = 0x0A
_NO_RESERVE = 0x4000 if sys.platform == "linux" else 0
"""Of a large file only a little is fetched, so that no memory is set aside for all of it."""


class Sparse:
    """A source as one buffer, ``data``, in which what was not fetched is zeros, which are no opcode.

    The buffer is memory that the system gives when it is written to. Each hole begins with a line's end,
    so that a line that goes on in it ends there as well, and what was read shows that it did.
    """

    def __init__(self, source: Source) -> None:
        """Fetch nothing yet; the source must not be empty."""
        self._source = source
        self.data = mmap.mmap(-1, source.size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | _NO_RESERVE)
        self._parts: list[tuple[int, int]] = []

    @property
    def held(self) -> int:
        """Bytes that were fetched."""
        return sum(stop - start for start, stop in self._parts)

    def fetch(self, start: int, stop: int) -> None:
        """Fetch what is missing of a part."""
        stop = min(stop, self._source.size)
        while (missing := self.missing(((start, stop),))) is not None:
            begin = missing
            end = min((known for known, _ in self._parts if known > begin), default=stop)
            end = min(end, stop)
            self.data[begin:end] = self._source.read(begin, end - begin).ljust(end - begin, b"\0")
            self._parts.append((begin, end))
            if self.missing(((end, end + 1),)) is not None:
                self.data[end] = _LINE_END

    def skip(self, start: int, stop: int) -> None:
        """Prepare for reading that leaves out ``start`` to ``stop``, but for a look at the first of it."""
        if stop - start > _BRIDGED:
            self.fetch(start, start + AT_ONCE)
            start = stop
        self.fetch(start, stop + AT_ONCE)

    def missing(self, ranges: Iterable[tuple[int, int]]) -> int | None:
        """The first offset in these ranges that was not fetched; None where all was."""
        known = sorted(self._parts)
        for start, stop in ranges:
            place = start
            for begin, end in known:
                if begin <= place < end:
                    place = end
            if place < min(stop, self._source.size):
                return place
        return None
