"""The state of one reading: what was seen, what was spent, and where it stops."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

from picklegate.containers.decompress import Inflated, MissingLibraryError, inflate
from picklegate.containers.detect import claims
from picklegate.containers.source import Buffer, Source
from picklegate.limits import Clock, Limits
from picklegate.pickles import Fault, Trace, trace
from picklegate.pickles.budget import TOO_LONG, Budget, Shared
from picklegate.pickles.recorder import Inline
from picklegate.report import Finding, Verdict

EXTRA = "picklegate[archives]"
_HAS = {"zstd": "zstandard"}
_MOST_FINDINGS = 1_000
_MOST_FORMATS = 16
_HELD = 1 << 26
"""Bytes of an artifact's streams that stay in memory, for a listing of their opcodes."""
_FREE = 1 << 26
"""Bytes up to which no ratio counts: arrays of zeros shrink ten-thousandfold under bz2 and xz."""
_FREE_OPCODES, _OPCODES_PER_BYTE = 4_000_000, 16
_FREE_EVENTS, _EVENTS_PER_BYTE = 100_000, 2
"""What any file may cost, and what each of its bytes may cost more; a pickle in the open costs less than a byte."""
_TOLD, _TOLD_PER_BYTE = 4 << 20, 8
"""The same for the text of what a report tells of its streams: names of imports, and calls."""
_CALLS_TOLD, _CALL = 500, 200
_CAREFUL = 32
"""How often damaged data is decompressed again byte by byte."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Stream:
    """One pickle in an artifact, traced.

    ``name`` says where it is: ``"archive/data.pkl"``, ``"stream 2"``, ``"inner.zip/data.pkl"``;
    offsets of the trace count from the start of the member's (decompressed) data.
    """

    name: str
    trace: Trace


class Context(ABC):
    """Streams and findings of one artifact, with the budget that all its containers share."""

    def __init__(
        self,
        limits: Limits,
        *,
        name: str = "",
        size: int = 0,
        enough: Callable[[Trace], bool] | None = None,
        clock: Clock | None = None,
    ) -> None:
        """Begin with nothing seen and nothing spent.

        ``size`` in bytes is what the budget follows from; ``enough`` tells of a trace that no more needs to be read.
        """
        self.limits = limits
        self.name = name
        self._enough = enough
        self.streams: list[Stream] = []
        self.findings: list[Finding] = []
        self.unjudged: dict[str, None] = {}
        self.inflated = 0
        self._most_inflated = min(limits.max_total_inflated_bytes, max(_FREE, limits.max_ratio * size))
        self._told = _TOLD + _TOLD_PER_BYTE * size
        self._clock = clock or Clock(limits.max_seconds)
        opcodes = min(limits.max_opcodes, _FREE_OPCODES + _OPCODES_PER_BYTE * size)
        events = min(limits.max_events, _FREE_EVENTS + _EVENTS_PER_BYTE * size)
        self._budget = Budget(replace(limits, max_opcodes=opcodes, max_events=events), self._clock)
        self._members = self._held = self._careful = 0
        self._worst = Verdict.CLEAN

    @abstractmethod
    def open(self, source: Source, name: str, depth: int) -> str:
        """Find the streams of ``source``, whatever it is; the name of its container."""

    def stream(self, name: str, seen: Trace, depth: int) -> None:
        """Add a stream, and open the containers that its own calls would load from bytes."""
        if len(self.streams) >= self.limits.max_streams:
            self.bound("limit.streams", f"there are more than {self.limits.max_streams:,} streams", name)
            return
        self._told -= _told(seen)
        if self._told < 0:
            self.bound("limit.report", "its streams import and call more than a report can tell", name)
            return
        self._held += len(seen.data) if isinstance(seen.data, bytes) else 0
        data = seen.data if self._held <= _HELD else b""
        self.streams.append(Stream(name=name, trace=replace(seen, data=data, result=None)))
        self._blobs(name, seen, depth)

    def trace(self, data: Buffer, start: int = 0, inline: Mapping[tuple[str, str], Inline] | None = None) -> Trace:
        """Trace a stream with the opcodes and events that are left to the artifact."""
        left = self._budget.opcodes > 0 and self._budget.events > 0
        if left and not self.late():
            return trace(data, start, limits=self.limits, inline=inline, shared=Shared(self._budget))
        if not left:
            message = "its streams have more opcodes or calls together than a scan takes on for a file of its size"
            self.bound("limit.opcodes", message)
        fault = Fault(code="limit.stream", offset=start, message="no stream is read any more")
        return Trace(start=start, end=start, stopped=False, protocol=0, opcodes=0, fault=fault)

    def late(self) -> bool:
        """Whether the time for this artifact is over; True with a finding."""
        if not self._clock.over:
            return False
        self.bound("limit.time", TOO_LONG)
        return True

    def certain(self, traces: Iterable[Trace]) -> bool:
        """Whether one of these traces, the beginnings of longer ones, is enough."""
        return self._enough is not None and any(map(self._enough, traces))

    @property
    def members_left(self) -> int:
        """How many more members the artifact may have."""
        return max(self.limits.max_members - self._members, 0)

    @property
    def bytes_left(self) -> int:
        """How many more bytes may be decompressed into one member."""
        return max(min(self.limits.max_inflated_bytes, self._most_inflated - self.inflated), 0)

    def admits(self, name: str, count: int = 1) -> bool:
        """Count more members; False, with a finding, where there are too many."""
        self._members += count
        if self._members > self.limits.max_members:
            self.bound("limit.members", f"it has more than {self.limits.max_members:,} members", name)
            return False
        return True

    def claims(self, name: str) -> bool:
        """Whether the name of a member, or of the artifact where it is that itself, promises a pickle."""
        return claims(name or self.name)

    def _blobs(self, name: str, seen: Trace, depth: int) -> None:
        for loader, data in seen.blobs:
            if not self.admits(name):
                return
            self.open(Source(data), f"{name}: {loader}", depth + 1)
        for _, inner in seen.nested:
            self._blobs(name, inner, depth)

    def leave(self, label: str) -> None:
        """Note a format that picklegate does not analyse, by its name for people."""
        if len(self.unjudged) < _MOST_FORMATS:
            self.unjudged[label] = None

    def find(self, code: str, verdict: Verdict, message: str, name: str = "", offset: int | None = None) -> None:
        """Add a finding, once; of very many, only those that are worse than all before."""
        finding = Finding(code=code, verdict=verdict, message=message, stream=name, offset=offset)
        if len(self.findings) >= _MOST_FINDINGS and verdict <= self._worst:
            return
        if finding not in self.findings[-64:]:
            self.findings.append(finding)
            self._worst = max(self._worst, verdict)

    def note(self, code: str, message: str, name: str = "", offset: int | None = None) -> None:
        """Add a finding that changes no verdict."""
        self.find(code, Verdict.CLEAN, message, name, offset)

    def odd(self, code: str, message: str, name: str = "", offset: int | None = None) -> None:
        """Add what honest files do not do, where every reading of it was scanned."""
        self.find(code, Verdict.SUSPICIOUS, message, name, offset)

    def bound(self, code: str, message: str, name: str = "", offset: int | None = None) -> None:
        """Add what keeps something from being read."""
        self.find(code, Verdict.UNSCANNABLE, message, name, offset)

    def inflate(self, codec: str, source: Source, name: str, beginning: int | None = None) -> Inflated | None:
        """Decompress within the budget; None, with a finding, where that is not possible at all."""
        if self.late():
            return None
        careful = self._careful < _CAREFUL
        ratio = self.limits.max_ratio
        try:
            result = inflate(
                codec, source, most=self.bytes_left, free=_FREE, ratio=ratio, beginning=beginning, careful=careful
            )
        except MissingLibraryError as error:
            if codec == "zstd" and not self.claims(name):
                # No loader of this machine can decompress it either.
                self.leave("zstd without the package zstandard")
            else:
                self.bound(
                    "archive.library-missing", f"reading it needs {error}: install {_HAS.get(codec, EXTRA)}", name
                )
            return None
        self._careful += bool(result.error)
        self.inflated += len(result.data)
        if result.bound:
            self.bound("limit.inflated", "decompressing it would pass a limit on size or ratio", name)
        return result


def _told(seen: Trace) -> int:
    """About how many characters a report has of a stream and of those nested in it."""
    told, waiting = 0, [seen]
    while waiting:
        one = waiting.pop()
        told += sum(len(each.module) + len(each.name) for each in one.imports)
        told += sum(_CALL + len(event.name) for event in one.events[:_CALLS_TOLD])
        waiting.extend(inner for _, inner in one.nested)
    return told
