"""The entry point: opens an artifact, and everything in it, by what it is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import BinaryIO

from picklegate.containers import archives, formats, npy, probe, raw, zips
from picklegate.containers.context import Context, Stream
from picklegate.containers.decompress import after_skippable
from picklegate.containers.detect import COMPRESSED, FRAMED, HEAD, sniff, tar_start
from picklegate.containers.directories import REMOTE_TAIL, TAIL, directories
from picklegate.containers.source import Source
from picklegate.limits import DEFAULT, Clock, Limits
from picklegate.pickles import Trace
from picklegate.report import Finding


@dataclass(frozen=True, kw_only=True, slots=True)
class Contents:
    """What an artifact holds: its container's name, its streams, and the container's findings.

    A container that claims to carry a pickle and yields no stream has an UNSCANNABLE finding;
    one that carries none has neither streams nor findings. ``unjudged`` names the formats in it that
    picklegate does not analyse.
    """

    container: str
    streams: tuple[Stream, ...] = ()
    findings: tuple[Finding, ...] = ()
    unjudged: tuple[str, ...] = ()


def read(
    file: BinaryIO,
    *,
    name: str = "",
    limits: Limits = DEFAULT,
    enough: Callable[[Trace], bool] | None = None,
    clock: Clock | None = None,
) -> Contents:
    """Every pickle stream in a seekable binary file, and what is odd about its containers.

    ``name`` serves only to tell what a file claims to be: one whose name promises a pickle and that has none is
    UNSCANNABLE. Where bytes must be fetched, a long pickle is read no further once ``enough`` says so of its trace.
    ``clock`` has the time that is left, where that is not ``limits.max_seconds``. Never raises for content; OSError
    from the file passes through, and comes where a local file gets shorter meanwhile.
    """
    source = Source.of(file)
    reader = _Reader(limits, name=name, size=source.size, enough=enough, clock=clock)
    container = reader.open(source, "", 0)
    source.check()
    return Contents(
        container=container,
        streams=tuple(reader.streams),
        findings=tuple(reader.findings),
        unjudged=tuple(reader.unjudged),
    )


class _Reader(Context):
    """Dispatches on the bytes; where several readings are possible, all are taken."""

    def open(self, source: Source, name: str, depth: int) -> str:
        if depth > self.limits.max_depth:
            self.bound("archive.too-deep", f"it lies more than {self.limits.max_depth} containers deep", name)
            return "unknown"
        if self.late():
            return "unknown"
        head = source.read(0, HEAD)
        tail = source.tail(TAIL if source.resident else REMOTE_TAIL)
        kind = sniff(head, source.size, tail)
        before = len(self.streams), len(self.findings), len(self.unjudged)
        kinds = [known for known in self._readings(source, name, depth, kind, head, tail) if known]
        if before == (len(self.streams), len(self.findings), len(self.unjudged)):
            self._left(source, name, depth, kind)
        return kinds[0] if kinds else kind

    def _left(self, source: Source, name: str, depth: int, kind: str) -> None:
        """Say of a file in which nothing was seen that its name promises more, or that its format is not analysed."""
        claimed = self.claims(name)
        if claimed and kind in _PROMISED:
            self.bound("container.no-stream", _PROMISED[kind], name)
        elif claimed and kind in formats.PACKED:
            self.bound("archive.unsupported", f"its name promises a pickle, packed as {formats.UNANALYSED[kind]}", name)
        if kind in ("text", "json") and source.resident:
            kind = formats.refined(kind, source.read(0, formats.LOOKED_AT))
        if kind in formats.UNANALYSED and (kind != "unknown" or depth == 0):
            self.leave(formats.UNANALYSED[kind])
        elif kind == "text" and claimed:
            self.leave("a text under the name of a pickle")

    def _readings(self, source: Source, name: str, depth: int, kind: str, head: bytes, tail: bytes) -> Iterator[str]:
        """The container's name by each way of reading that finds something."""
        ends = directories(source, tail, self.members_left)
        if kind == "zip":
            yield zips.read(self, source, name, depth, ends)
        yield self._decompressed(source, name, depth, kind, head)
        if kind == "npy":
            yield npy.read(self, source, name, depth)
        elif kind == "7z":
            yield archives.read_7z(self, source, name, depth)
        elif kind == "rar":
            self.bound("archive.unsupported", "RAR archives are not read", name)
        tar = tar_start(source, head, kind)
        if tar is not None:
            known, spans = archives.read_tar(self, source, name, depth, tar)
            ends = ends.outside(spans)
            yield known
        if kind != "zip" or _may_be_persistent(head):
            claimed = not name and self.claims("") and kind != "zip"
            pickles = raw.read(self, source, name, depth, claimed=claimed, by_chance=kind == "zip")
            yield pickles.container if pickles else ""
        if kind != "zip" and ends.directories:
            self.note("zip.prefixed", "a zip archive ends the file, behind something else", name)
            yield zips.read(self, source, name, depth, ends)

    def _decompressed(self, source: Source, name: str, depth: int, kind: str, head: bytes) -> str:
        """The reading as compressed data, where it begins so or could."""
        if kind in COMPRESSED:
            return archives.read_compressed(self, source, name, depth, kind)
        guess = probe.guessed(self, source, head)
        if guess:
            return archives.read_compressed(self, source, name, depth, guess)
        begin = after_skippable(source)
        if begin:
            framed = sniff(source.read(begin, HEAD), source.size - begin)
            if framed in FRAMED:
                return archives.read_compressed(self, source, name, depth, framed)
            if begin < source.size:
                self.bound("archive.unsupported", "what follows its skippable frames is neither zstd nor lz4", name)
        return ""


def _may_be_persistent(head: bytes) -> bool:
    """Whether the magic of a zip can be the first opcode of a pickle, PERSID, whose argument is a line of ASCII."""
    return head.partition(b"\n")[0].isascii()


_PROMISED = {
    "unknown": "its name promises a pickle, and no loader would find one in it",
    "empty": "its name promises a pickle, and it is empty",
    "zip": "its name promises a pickle, and the archive holds none",
    "tar": "its name promises a pickle, and the archive holds none",
}
"""Containers in which a name's promise of a pickle must be kept -> what to say where it is not."""
