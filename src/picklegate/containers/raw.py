"""Pickles that stand in the open: one or several after another, with joblib's arrays and torch's storages between."""

from __future__ import annotations

from picklegate.containers import joblib, torch
from picklegate.containers.sniff import HEAD, READABLE, claims, is_candidate, sniff
from picklegate.containers.source import Buffer, Source
from picklegate.containers.walk import Walk
from picklegate.pickles import Trace, trace

_PROBE = 1 << 16
_GROWTH = 16


def read(walk: Walk, source: Source, name: str, depth: int, *, claimed: bool = False) -> str | None:
    """Trace the pickles at the start of ``source``; the container's name, or None where there is none.

    Only a beginning is fetched first: most files that are no pickle show it in their first opcode, and
    what follows the five pickles of an old torch file is storages, however long.
    """
    claimed = claimed or claims(name)
    size = _PROBE
    while True:
        data = source.prefix(size)
        reading = _Reading(walk, data, source, claimed=claimed)
        whole = len(data) >= source.size
        if whole or not reading.cut:
            break
        size = size * _GROWTH if reading.legacy else source.size
        if size > walk.limits.max_inflated_bytes and not source.resident:
            size = walk.limits.max_inflated_bytes
            if len(data) >= size:
                walk.bound("limit.held", f"its pickles are longer than {size:,} bytes", name)
                break
    if not reading.live:
        return None
    reading.report(walk, name, depth)
    return reading.container


def is_worth(beginning: bytes, name: str) -> bool:
    """Whether the rest of a member must be read, told by its beginning: all but known formats and plain data."""
    if sniff(beginning[:HEAD], len(beginning)) in READABLE:
        return True
    found = trace(beginning)
    unfinished = found.fault is not None and found.fault.code == "stream.truncated"
    return unfinished or is_candidate(beginning, found, claimed=claims(name))


class _Reading:
    """The streams that follow one another in ``data``, the beginning of ``source``."""

    def __init__(self, walk: Walk, data: Buffer, source: Source, *, claimed: bool) -> None:
        self.data = data
        self.traces: list[Trace] = []
        self.labels: list[str] = []
        self.arrays = joblib.Arrays(data, walk.limits)
        self.legacy = False
        self.live = False
        self.cut = False
        self.trailing: int | None = None
        self._follow(walk, source, claimed=claimed)

    @property
    def container(self) -> str:
        if self.legacy:
            return "torch_legacy"
        return "joblib" if self.arrays.used else "raw"

    def _follow(self, walk: Walk, source: Source, *, claimed: bool) -> None:
        data, limits = self.data, walk.limits
        position = 0
        expected: list[str] = []
        while position < len(data) and len(self.traces) <= limits.max_streams:
            found = trace(data, position, limits=limits, inline=self.arrays.hooks)
            live = is_candidate(data, found, claimed=claimed and not self.traces)
            self.cut = found.end >= len(data) or (found.fault is not None and found.fault.code == "stream.truncated")
            if self.traces and not live and not found.stopped:
                self.trailing = position
                return
            if torch.is_magic(data, found):
                self.legacy = True
                expected = list(torch.LEGACY)
            self.live = self.live or live
            self.traces.append(found)
            self.labels.append(expected.pop(0) if expected else f"stream {len(self.traces)}")
            if not found.stopped:
                return
            position = found.end
            if self.labels[-1] == torch.LEGACY[-1]:
                position = torch.after_storages(source, self.traces[-2], position)
                self.cut = len(data) <= position < source.size

    def report(self, walk: Walk, name: str, depth: int) -> None:
        """Hand the streams to the walk."""
        for label, found in zip(self.labels, self.traces, strict=True):
            alone = name if len(self.traces) == 1 else f"{name}: {label}"
            walk.stream(alone if name else label, found, depth)
        for offset, found in self.arrays.nested:
            walk.stream(f"{name or 'stream 1'}: array at {offset}", found, depth)
        for found in self.arrays.plain(self.traces):
            walk.stream(f"{name or 'stream'} as a plain pickle", found, depth)
        self.arrays.judge(walk, name, self.traces)
        if self.trailing is not None:
            walk.note("stream.trailing", "bytes follow STOP that are no pickle", name, self.trailing)
