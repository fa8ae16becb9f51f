"""FRAME, and what it hides: an argument that lies across a frame's end has two readings, and so has what follows STOP.

The C unpickler of a file object that cannot ``peek`` (BytesIO, an unbuffered file, most wrappers) reads a frame
into its buffer. An argument that does not fit in what is left of the buffer is read from the file *behind* the
frame, and the rest of the frame is dropped (``_Unpickler_ReadImpl`` and ``_Unpickler_Readline`` in
Modules/_pickle.c, before CPython 3.13.15 and 3.14.7, which refuse). ``pickle.loads`` and buffered files go
straight on.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import TYPE_CHECKING

from picklegate.pickles import opcodes
from picklegate.pickles.opcodes import Buffer

if TYPE_CHECKING:
    from picklegate.pickles.records import Trace
    from picklegate.pickles.rules.protocol import Effects

_MOST_STREAMS = 64
"""Streams that are followed one after the other behind a frame."""
_MOST_COPIED = 1 << 26
"""Bytes of the longest stream that is copied for its other reading; a longer one is UNSCANNABLE all the same."""


def reads(data: Buffer, pos: int) -> Iterator[tuple[int, int]]:
    """(start, end) of each read that the opcode at ``pos`` makes after its own byte; raises IndexError."""
    op = data[pos]
    if op in opcodes.LINES:
        for _ in range(opcodes.LINES[op]):
            end = opcodes.line_end(data, pos + 1)
            yield pos + 1, end + 1
            pos = end
    elif op in opcodes.COUNTED:
        start, end = opcodes.extent(data, pos)
        yield pos + 1, start
        yield start, end
    elif opcodes.LENGTHS[op] > 1:
        yield pos + 1, pos + opcodes.LENGTHS[op]


def straddle(data: Buffer, start: int, end: int) -> int | None:
    """Where the read begins that lies across the end of the frame ``data[start:end]``, if one does."""
    pos = start
    try:
        while pos < end:
            following = pos + 1
            for first, last in reads(data, pos):
                if first < end < last:
                    return first
                following = last
            pos = following
    except IndexError:
        pass
    return None


class Frames:
    """The frame that a stream is in, and the other reading where its end is not where a pickler puts it."""

    def __init__(self, data: Buffer, start: int, effects: Effects) -> None:
        """Begin outside any frame."""
        self.data = data
        self.start = self.frame = self.end = start
        self.effects = effects

    def enter(self, pos: int, end: int) -> None:
        """FRAME at ``pos``, whose content ends at ``end``."""
        if end > len(self.data):
            self.effects.note("stream.frame", pos, "a frame reaches past the end of the data")
        if pos + 9 >= self.end:
            self.leave(pos)
        elif end > self.end:
            self._cut(pos + 9)
        else:
            return
        self.frame, self.end = pos, end

    def leave(self, pos: int) -> None:
        """Look whether an argument lay across the end of the frame that ``pos`` is beyond."""
        if self.frame < self.end < pos:
            read = straddle(self.data, self.frame + 9, self.end)
            if read is not None:
                self._cut(read)

    def stop(self, pos: int) -> None:
        """STOP ends at ``pos``: what follows is read from there on, or from behind the frame, if that was read at once.

        The latter holds for file objects that cannot ``peek``, and for the Python unpickler.
        """
        effects, place, size = self.effects, self.end, len(self.data)
        if not pos < place <= size:
            return
        effects.note("stream.frame", self.frame, "a frame goes on behind STOP, where unpicklers differ")
        effects.nested.extend(("behind the frame", inner) for inner in self._behind(place))

    def _behind(self, place: int) -> Iterator[Trace]:
        """The streams that follow one another from ``place`` on, as far as they were not followed before."""
        effects, followed = self.effects, self.effects.shared.followed
        for _ in range(_MOST_STREAMS):
            key = (id(self.data), place)
            if place >= len(self.data) or key in followed:
                return
            if effects.depth >= effects.limits.max_depth:
                break
            followed[key] = self.data
            inner = self._trace(self.data, place)
            yield inner
            if not inner.stopped:
                return
            place = inner.end
        effects.note("limit.depth", self.frame, "more streams follow behind a frame than the limits allow")

    def _cut(self, read: int) -> None:
        """Follow the reading that drops the rest of the frame from ``read`` on, if the stream can be copied."""
        effects = self.effects
        if "stream.frame-cut" in effects.notes:
            return
        effects.note("stream.frame-cut", self.frame, "an argument lies across a frame's end, where unpicklers differ")
        if effects.depth < effects.limits.max_depth and len(self.data) - self.start <= _MOST_COPIED:
            data = dropped(self.data, self.start, self.frame, read, self.end)
            effects.nested.append(("dropped frame end", self._trace(data, 0)))

    def _trace(self, data: Buffer, start: int) -> Trace:
        effects = self.effects
        return effects.trace(data, start, limits=effects.limits, depth=effects.depth + 1, shared=effects.shared)


def dropped(data: Buffer, start: int, frame: int, read: int, end: int) -> bytes:
    """The stream from ``start`` on as the C unpickler of a file reads it: without ``data[read:end]``.

    ``frame`` is the offset of the FRAME opcode, whose length is set to what is left of the frame.
    """
    size = struct.pack("<Q", read - frame - 9)
    return data[start : frame + 1] + size + data[frame + 9 : read] + data[end:]
