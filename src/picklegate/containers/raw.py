"""Pickles that stand in the open: one or several after another, with joblib's arrays and torch's storages between."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass

from picklegate.containers import joblib, torch
from picklegate.containers.sniff import HEAD, claims, is_candidate
from picklegate.containers.source import Buffer, Source
from picklegate.containers.walk import Walk
from picklegate.pickles import Trace
from picklegate.pickles.opcodes import COUNTED, NAMES

PROBE = 1 << 16
"""Bytes of a beginning that decide whether the rest is read."""
_RESIDENT_PROBE = 1 << 12
_AT_ONCE = 1 << 20
"""Bytes up to which what is in memory is read as a whole at once."""
_GROWTH = 16
_FRAME = {0x95: 8}


@dataclass(frozen=True, slots=True)
class Pickles:
    """What the pickles were: the container's name, and the offset at which no further one begins."""

    container: str
    end: int


def read(walk: Walk, source: Source, name: str, depth: int, *, start: int = 0, claimed: bool = False) -> Pickles | None:
    """Trace the pickles that begin at ``start``; None where there is none.

    Only a beginning is fetched first: most files that are no pickle show it in their first opcode, and
    what follows the five pickles of an old torch file is storages, however long.
    """
    claimed = claimed or claims(name)
    most = walk.limits.max_inflated_bytes
    size = start + (_RESIDENT_PROBE if source.resident else PROBE)
    if source.resident and source.size <= _AT_ONCE:
        size = source.size
    while True:
        data = source.prefix(size)
        reading = _Reading(walk, data, start, source.size)
        reading.follow(source, claimed=claimed)
        if not reading.cut or len(data) >= source.size:
            break
        if len(data) >= most and not source.is_buffer:
            walk.bound("limit.held", f"its pickles are longer than {most:,} bytes", name)
            break
        size = size * _GROWTH if reading.legacy else source.size
        if not source.is_buffer:
            size = min(size, most)
    if not reading.live:
        return None
    reading.report(name, depth)
    return Pickles(reading.container, reading.end)


def is_worth(walk: Walk, beginning: bytes, *, claimed: bool) -> bool:
    """Whether a beginning has pickles, or more bytes could show some; how many follow is not known."""
    reading = _Reading(walk, beginning, 0, sys.maxsize)
    reading.follow(Source(beginning), claimed=claimed)
    return reading.live or reading.cut


def is_cut(data: Buffer, found: Trace, size: int) -> bool:
    """Whether a trace of ``data`` could be another with what follows it, up to ``size`` bytes in all.

    A reading that ends well inside has not met the end, except in what it asked of it: an argument that is
    longer than the data, the length of a frame, and the second reading where an argument lies across a frame.
    """
    notes = {note.code: note.offset for note in found.notes}
    if "stream.frame-cut" in notes:
        return True
    if "stream.frame" in notes and _reach(data, notes["stream.frame"], _FRAME) <= size:
        return True
    if found.fault is not None and found.fault.code == "stream.truncated":
        return _reach(data, found.fault.offset, COUNTED) <= size
    return found.end + HEAD > len(data)


def _reach(data: Buffer, place: int, lengths: Mapping[int, int]) -> int:
    """How far the opcode at ``place`` reaches where it is one that begins with a length, of so many bytes."""
    width = lengths.get(data[place], 0) if place < len(data) else 0
    length = int.from_bytes(data[place + 1 : place + 1 + width], "little")
    return place + bool(width) + width + length


class _Reading:
    """The streams that follow one another in ``data``, the beginning of ``size`` bytes."""

    def __init__(self, walk: Walk, data: Buffer, start: int, size: int) -> None:
        self.walk = walk
        self.data = data
        self.size = size
        self.end = start
        self.traces: list[Trace] = []
        self.labels: list[str] = []
        self.arrays = joblib.Arrays(walk, data)
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
        while self.end < len(data) and len(self.traces) <= self.walk.limits.max_streams:
            if data[self.end] not in NAMES:
                return
            found = self.walk.trace(data, self.end, self.arrays.hooks)
            live = is_candidate(data, found, claimed=claimed and not self.traces)
            # An array is read in several ways, any of which may go on behind the others.
            self.cut = self.cut or self.arrays.used or is_cut(data, found, self.size)
            if self.traces and not live and not found.stopped:
                return
            if torch.is_magic(data, found):
                self.legacy = True
                expected = list(torch.LEGACY)
            self.live = self.live or live
            self.traces.append(found)
            self.labels.append(expected.pop(0) if expected else f"stream {len(self.traces)}")
            self.end = found.end
            if not found.stopped:
                return
            if self.labels[-1] == torch.LEGACY[-1] and not self._goes_on():
                self.end = torch.after_storages(source, self.traces[-2], found.end)
                self.cut = self.cut or len(data) <= self.end < source.size

    def _goes_on(self) -> bool:
        """Whether streams of which one imports stand where torch reads storages: ``pickle.load`` reads on there."""
        place = self.end
        for _ in range(self.walk.limits.max_streams):
            found = self.walk.trace(self.data, place)
            self.cut = self.cut or is_cut(self.data, found, self.size)
            if found.imports and is_candidate(self.data, found, claimed=False):
                return True
            if not found.stopped:
                break
            place = found.end
        return False

    def report(self, name: str, depth: int) -> None:
        """Hand the streams to the walk, and those that ``pickle.load`` would see in joblib's arrays."""
        for label, found in zip(self.labels, self.traces, strict=True):
            alone = name if len(self.traces) == 1 else f"{name}: {label}"
            self.walk.stream(alone if name else label, found, depth)
        for offset, found in self.arrays.nested:
            self.walk.stream(f"{name or 'stream 1'}: array at {offset}", found, depth)
        for found in self.arrays.plain(self.traces):
            self.walk.stream(f"{name or 'stream'} as a plain pickle", found, depth)
        self.arrays.judge(name, self.traces)
        if self.traces[-1].stopped and self.end < len(self.data):
            self.walk.note("stream.trailing", "bytes follow STOP that are no pickle", name, self.end)
