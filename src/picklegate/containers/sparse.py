"""A copy of a source of which only those parts exist that reading has asked for."""

from __future__ import annotations

import mmap
import tempfile
from collections.abc import Iterable
from types import TracebackType

from picklegate.containers.source import Source

AT_ONCE = 1 << 16
"""Bytes that are fetched where reading goes on after a gap."""
_BRIDGED = 1 << 20
"""A gap up to this size is fetched: asking again would take longer."""

_LINE_END = 0x0A


class Sparse:
    """A source as one buffer, ``data``, in which what was not fetched is zeros, which are no opcode.

    The copy is a file without a name that has holes where nothing was fetched. Each hole begins with a line's end,
    so that a line that goes on in it ends there as well, and what was read shows that it did.
    """

    def __init__(self, source: Source) -> None:
        """Fetch nothing yet; the source must not be empty."""
        self._source = source
        self._file = tempfile.TemporaryFile(prefix="picklegate-")  # noqa: SIM115 (closed by __exit__)
        self._file.truncate(source.size)
        self.data = mmap.mmap(self._file.fileno(), source.size)
        self._parts: list[tuple[int, int]] = []

    def __enter__(self) -> Sparse:  # noqa: PYI034 (typing has Self from Python 3.11 on)
        """Use it until the block ends."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give up the disk space; ``data`` goes with its last user."""
        self._file.close()

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
