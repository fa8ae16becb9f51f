"""The state of one reading: what was found, what was spent, and where it stops."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

from picklegate.containers.contents import Stream
from picklegate.containers.decompress import Inflated, MissingLibraryError, inflate
from picklegate.containers.source import Buffer, Source
from picklegate.limits import Clock, Limits
from picklegate.pickles import Fault, Trace, trace
from picklegate.pickles.recorder import TOO_LONG, Inline
from picklegate.pickles.shared import Shared
from picklegate.report import Finding, Verdict

EXTRA = "picklegate[archives]"
_MOST_FINDINGS = 1_000
_HELD = 1 << 26
"""Bytes of an artifact's streams that stay in memory, for a listing of their opcodes."""


class Walk(ABC):
    """Streams and findings of one artifact, with the budget that all its containers share."""

    def __init__(
        self, limits: Limits, enough: Callable[[Trace], bool] | None = None, clock: Clock | None = None
    ) -> None:
        """Begin with nothing found and nothing spent; ``enough`` tells of a trace that no more needs to be read."""
        self.limits = limits
        self._enough = enough
        self.streams: list[Stream] = []
        self.findings: list[Finding] = []
        self.inflated = 0
        self._clock = clock or Clock(limits.max_seconds)
        self._opcodes = 0
        self._members = self._held = 0
        self._worst = Verdict.CLEAN

    @abstractmethod
    def open(self, source: Source, name: str, depth: int) -> str:
        """Find the streams of ``source``, whatever it is; the name of its container."""

    def stream(self, name: str, found: Trace, depth: int) -> None:
        """Add a stream, and open the containers that its own calls would load from bytes."""
        if len(self.streams) >= self.limits.max_streams:
            self.bound("limit.streams", f"there are more than {self.limits.max_streams:,} streams", name)
            return
        self._held += len(found.data) if isinstance(found.data, bytes) else 0
        kept = found if self._held <= _HELD else replace(found, data=b"")
        self.streams.append(Stream(name=name, trace=kept))
        self._blobs(name, found, depth)

    def trace(self, data: Buffer, start: int = 0, inline: Mapping[tuple[str, str], Inline] | None = None) -> Trace:
        """Trace a stream with the opcodes that are left to the artifact."""
        left = self.limits.max_opcodes - self._opcodes
        if left > 0 and not self.late():
            limits = replace(self.limits, max_opcodes=left) if self._opcodes else self.limits
            found = trace(data, start, limits=limits, inline=inline, shared=Shared(self._clock))
            self._opcodes += found.opcodes
            return found
        if left <= 0:
            message = f"its streams have more than {self.limits.max_opcodes:,} opcodes together"
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

    def admits(self, name: str, count: int = 1) -> bool:
        """Count more members; False, with a finding, where there are too many."""
        self._members += count
        if self._members > self.limits.max_members:
            self.bound("limit.members", f"it has more than {self.limits.max_members:,} members", name)
            return False
        return True

    def _blobs(self, name: str, found: Trace, depth: int) -> None:
        for loader, data in found.blobs:
            if not self.admits(name):
                return
            self.open(Source(data), f"{name}: {loader}", depth + 1)
        for _, inner in found.nested:
            self._blobs(name, inner, depth)

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
        limits = self.limits
        left = limits.max_total_inflated_bytes - self.inflated
        most = min(limits.max_inflated_bytes, left)
        try:
            result = inflate(codec, source, most=most, ratio=limits.max_ratio, beginning=beginning)
        except MissingLibraryError as error:
            self.bound("archive.library-missing", f"reading it needs {error}: install {EXTRA}", name)
            return None
        self.inflated += len(result.data)
        if result.bound:
            self.bound("limit.inflated", "decompressing it would pass a limit on size or ratio", name)
        return result
