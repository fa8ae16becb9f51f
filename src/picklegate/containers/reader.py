"""The entry point: opens an artifact, and everything in it, by what it is."""

from __future__ import annotations

from collections.abc import Callable
from typing import BinaryIO

from picklegate.containers import archives, npy, probe, raw, zips
from picklegate.containers.contents import Contents
from picklegate.containers.context import Walk
from picklegate.containers.detect import COMPRESSED, HEAD, claims, is_lzma, is_tar, sniff
from picklegate.containers.source import Source
from picklegate.limits import DEFAULT, Clock, Limits
from picklegate.pickles import Trace


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
    from the file passes through.
    """
    reader = _Reader(limits, name, enough, clock)
    container = reader.open(Source.of(file), "", 0)
    return Contents(container=container, streams=tuple(reader.streams), findings=tuple(reader.findings))


class _Reader(Walk):
    """Dispatches on the bytes; where two readings are possible, both are taken."""

    def __init__(self, limits: Limits, name: str, enough: Callable[[Trace], bool] | None, clock: Clock | None) -> None:
        super().__init__(limits, enough, clock)
        self._name = name

    def open(self, source: Source, name: str, depth: int) -> str:
        if depth > self.limits.max_depth:
            self.bound("archive.too-deep", f"it lies more than {self.limits.max_depth} containers deep", name)
            return "unknown"
        if self.late():
            return "unknown"
        head = source.read(0, HEAD)
        tail = source.read(max(0, source.size - zips.TAIL), zips.TAIL)
        kind = sniff(head, source.size, tail)
        before, known = len(self.streams), len(self.findings)
        kinds = [found for found in self._readings(source, name, depth, kind, head, tail) if found]
        claimed = claims(name or self._name)
        if claimed and len(self.streams) == before and len(self.findings) == known and kind in _PROMISED:
            self.bound("container.no-stream", _PROMISED[kind], name)
        return kinds[0] if kinds else kind

    def _readings(self, source: Source, name: str, depth: int, kind: str, head: bytes, tail: bytes) -> list[str]:
        """The container's name by each way of reading that finds something."""
        ends = zips.directories(source, tail, self.members_left)
        if kind == "zip":
            return [zips.read(self, source, name, depth, ends)]
        found = []
        if kind in COMPRESSED:
            found.append(archives.read_compressed(self, source, name, depth, kind))
        elif is_lzma(head) and probe.is_lzma_of_pickles(self, source):
            found.append(archives.read_compressed(self, source, name, depth, "lzma"))
        elif kind == "npy":
            found.append(npy.read(self, source, name, depth))
        elif kind == "7z":
            found.append(archives.read_7z(self, source, name, depth))
        elif kind == "rar":
            self.bound("archive.unsupported", "RAR archives are not read", name)
        if is_tar(head):
            found.append(archives.read_tar(self, source, name, depth))
        claimed = not name and claims(self._name)
        pickles = raw.read(self, source, name, depth, claimed=claimed)
        found.append(pickles.container if pickles else "")
        if ends:
            self.note("zip.prefixed", "a zip archive ends the file, behind something else", name)
            found.append(zips.read(self, source, name, depth, ends))
        return found


_PROMISED = {
    "unknown": "its name promises a pickle, and no loader would find one in it",
    "empty": "its name promises a pickle, and it is empty",
    "zip": "its name promises a pickle, and the archive holds none",
    "tar": "its name promises a pickle, and the archive holds none",
}
"""Containers in which a name's promise of a pickle must be kept -> what to say where it is not."""
