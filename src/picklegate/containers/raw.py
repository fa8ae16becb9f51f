"""Pickles that stand in the open: one or several after another, with joblib's arrays and torch's storages between."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from picklegate.containers import joblib, torch
from picklegate.containers.context import Context
from picklegate.containers.detect import HEAD, claims, is_candidate
from picklegate.containers.source import Buffer, Source
from picklegate.containers.sparse import Sparse
from picklegate.pickles import Trace
from picklegate.pickles.opcodes import COUNTED, NAMES

PROBE = 1 << 16
"""Bytes of a beginning that decide whether the rest is read."""
_RESIDENT_PROBE = 1 << 12
_AT_ONCE = 1 << 20
"""Bytes up to which what is in memory is read as a whole at once."""
_GROWTH = 16
_FETCHED = 4
"""Growth of what is fetched at once, where reading again costs more than asking again."""
_FRAME = {0x95: 8}
_BLOCK = 512


@dataclass(frozen=True, slots=True)
class Pickles:
    """What the pickles were: the container's name, and the offset at which no further one begins."""

    container: str
    end: int


def read(
    context: Context,
    source: Source,
    name: str,
    depth: int,
    *,
    start: int = 0,
    claimed: bool = False,
    by_chance: bool = False,
) -> Pickles | None:
    """Trace the pickles that begin at ``start``; None where there is none.

    ``by_chance`` says that honest bytes of another format may spell opcodes: then only what comes before the
    unpickler is sure to refuse them counts.

    Only a beginning is fetched first: most files that are no pickle show it in their first opcode, and
    what follows the five pickles of an old torch file is storages, however long.
    """
    claimed = claimed or claims(name)
    most = context.limits.max_inflated_bytes
    size = start + (_RESIDENT_PROBE if source.resident else PROBE)
    if source.resident and source.size <= _AT_ONCE:
        size = source.size
    while True:
        data = source.prefix(size)
        reading = _Reading(context, data, start, source.size, by_chance=by_chance)
        reading.follow(source, claimed=claimed)
        if not reading.cut or len(data) >= source.size:
            break
        if not (source.resident or reading.legacy):
            return _from_afar(context, source, name, depth, start=start, claimed=claimed)
        if len(data) >= most and not source.is_whole:
            context.bound("limit.held", f"its pickles are longer than {most:,} bytes", name)
            break
        size = size * _GROWTH if reading.legacy else source.size
        if not source.is_whole:
            size = min(size, most)
    return reading.report(name, depth)


def _from_afar(context: Context, source: Source, name: str, depth: int, *, start: int, claimed: bool) -> Pickles | None:
    """Fetch what the pickles consist of as they are read, and not the arrays that a loader would skip between."""
    most = context.limits.max_inflated_bytes
    ahead = PROBE
    sparse = Sparse(source)
    sparse.fetch(0, start + ahead)
    while True:
        reading = _Reading(context, sparse.data, start, source.size, sparse)
        reading.follow(source, claimed=claimed)
        gap = sparse.missing(reading.read())
        if gap is None:
            break
        if context.certain(reading.traces):
            reading.stop()
            break
        if sparse.held >= most:
            context.bound("limit.held", f"its pickles are longer than {most:,} bytes", name)
            break
        ahead *= _FETCHED
        sparse.fetch(gap, gap + min(ahead, most - sparse.held))
    return reading.report(name, depth)


def is_worth(context: Context, beginning: bytes, *, claimed: bool) -> bool:
    """Whether a beginning has pickles, or more bytes could show some; how many follow is not known."""
    reading = _Reading(context, beginning, 0, sys.maxsize)
    reading.follow(Source(beginning), claimed=claimed)
    return reading.live or reading.cut


def is_cut(data: Buffer, seen: Trace, size: int) -> bool:
    """Whether a trace of ``data`` could be another with what follows it, up to ``size`` bytes in all.

    A reading that ends well inside has not met the end, except in what it asked of it: an argument that is
    longer than the data, the length of a frame, and the second reading where an argument lies across a frame.
    """
    notes = {note.code: note.offset for note in seen.notes}
    if "stream.frame-cut" in notes:
        return True
    if "stream.frame" in notes and _reach(data, notes["stream.frame"], _FRAME) <= size:
        return True
    if seen.fault is not None and seen.fault.code == "stream.truncated":
        return _reach(data, seen.fault.offset, COUNTED) <= size
    return seen.end + HEAD > len(data)


def _reach(data: Buffer, place: int, lengths: Mapping[int, int]) -> int:
    """How far the opcode at ``place`` reaches where it is one that begins with a length, of so many bytes."""
    width = lengths.get(data[place], 0) if place < len(data) else 0
    length = int.from_bytes(data[place + 1 : place + 1 + width], "little")
    return place + bool(width) + width + length


class _Reading:
    """The streams that follow one another in ``data``, the beginning of ``size`` bytes."""

    def __init__(
        self,
        context: Context,
        data: Buffer,
        start: int,
        size: int,
        sparse: Sparse | None = None,
        *,
        by_chance: bool = False,
    ) -> None:
        self.context = context
        self.by_chance = by_chance
        self.data = data
        self.size = size
        self.start = self.end = start
        self.traces: list[Trace] = []
        self.labels: list[str] = []
        self.arrays = joblib.Arrays(context, data, sparse)
        self.legacy = False
        self.live = False
        self.cut = False

    @property
    def container(self) -> str:
        if self.legacy:
            return "torch_legacy"
        return "joblib" if self.arrays.used else "raw"

    def follow(self, source: Source, *, claimed: bool) -> None:
        """Trace stream after stream; ``cut`` tells whether more bytes could change what is seen."""
        data = self.data
        expected: list[str] = []
        while self.end < len(data) and len(self.traces) <= self.context.limits.max_streams:
            if self.traces and data[self.end] == 0:
                self.end = self._next_block()
            if data[self.end] not in NAMES:
                return
            seen = self.context.trace(data, self.end, self.arrays.hooks)
            if self.by_chance:
                seen = joblib.up_to_refusal(seen)
            live = is_candidate(data, seen, claimed=claimed and not self.traces)
            # An array is read in several ways, any of which may go on behind the others.
            self.cut = self.cut or self.arrays.used or is_cut(data, seen, self.size)
            if self.traces and not live and not seen.stopped:
                return
            if torch.is_magic(data, seen):
                self.legacy = True
                expected = list(torch.LEGACY)
            self.live = self.live or live
            self.traces.append(seen)
            self.labels.append(expected.pop(0) if expected else f"stream {len(self.traces)}")
            self.end = seen.end
            if not seen.stopped:
                return
            if self.labels[-1] == torch.LEGACY[-1] and not self._goes_on():
                self.end = torch.after_storages(source, self.traces[-2], seen.end)
                self.cut = self.cut or len(data) <= self.end < source.size

    def _next_block(self) -> int:
        """Where the next value of a ``dbm.dumb`` file stands, whose blocks are filled up with zeros; else the end."""
        start = -(-self.end // _BLOCK) * _BLOCK
        if self.data[start : start + 1] == b"\x80" and not self.data[self.end : start].strip(b"\0"):
            return start
        return self.end

    def _goes_on(self) -> bool:
        """Whether streams of which one imports stand where torch reads storages: ``pickle.load`` reads on there."""
        place = self.end
        for _ in range(self.context.limits.max_streams):
            seen = self.context.trace(self.data, place)
            self.cut = self.cut or is_cut(self.data, seen, self.size)
            if seen.imports and is_candidate(self.data, seen, claimed=False):
                return True
            if not seen.stopped:
                break
            place = seen.end
        return False

    def read(self) -> Iterator[tuple[int, int]]:
        """The parts of the data that what was seen depends on: all but the arrays that were skipped."""
        place = self.start
        for begin, end in self.arrays.skipped.items():
            yield place, begin
            place = end
        traces = [*self.traces, *self.arrays.nested.values()]
        yield place, max((_last(seen) for seen in traces), default=place) + HEAD
        for seen in self.arrays.plain(self.traces):
            yield seen.start, _last(seen)

    def stop(self) -> None:
        """Forget the fault that is none: reading ended because nothing more needs to be known."""
        self.traces[-1] = replace(self.traces[-1], fault=None)

    def report(self, name: str, depth: int) -> Pickles | None:
        """Keep the streams, and those that ``pickle.load`` would see in joblib's arrays; None for none."""
        if not self.live:
            return None
        for label, seen in zip(self.labels, self.traces, strict=True):
            alone = name if len(self.traces) == 1 else f"{name}: {label}"
            self.context.stream(alone if name else label, seen, depth)
        for offset, seen in self.arrays.nested.items():
            self.context.stream(f"{name or 'stream 1'}: array at {offset}", seen, depth)
        for seen in self.arrays.plain(self.traces):
            self.context.stream(f"{name or 'stream'} as a plain pickle", seen, depth)
        self.arrays.judge(name, self.traces)
        if self.traces[-1].stopped and self.end < len(self.data):
            self.context.note("stream.trailing", "bytes follow STOP that are no pickle", name, self.end)
        return Pickles(self.container, self.end)


def _last(seen: Trace) -> int:
    """Where the last byte is that a trace depends on, or shortly before."""
    return max(seen.end, seen.fault.offset if seen.fault else 0)
