"""The central directories of a zip archive, as tolerant readers find them (miniz inside torch, zipfile).

Layout: https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT
"""

from __future__ import annotations

import struct
from collections.abc import Container, Iterator
from dataclasses import dataclass
from operator import attrgetter

from picklegate.containers.source import Source

END = struct.Struct("<4s4H2LH")
_END64 = struct.Struct("<4sQ2H2L4Q")
_LOCATOR = struct.Struct("<4sLQL")
_CENTRAL = struct.Struct("<4s6H3L5H2L")
LOCAL = struct.Struct("<4s5H3L2H")
_LENGTHS = struct.Struct("<HH")
REMOTE_TAIL = END.size + 0xFFFF
"""Bytes at the end of a file in which an end record can stand."""
TAIL = REMOTE_TAIL + 0x1000
"""The same for miniz, which reads pieces of that size and looks at one more."""
NARROW = 0xFFFFFFFF
_DIRECTORY = 1 << 20
"""Bytes that are asked for where a directory may begin; nearly all are shorter."""
_MOST_IN_A_ROW = 100_000
_MOST = 16
"""Directories of one archive that are followed."""
LOCAL_MAGIC = b"PK\x03\x04"
_END_MAGIC = b"PK\x05\x06"


@dataclass(slots=True)
class Entry:
    """A member as the central directory describes it."""

    label: bytes
    flags: int
    method: int
    crc: int
    packed: int
    size: int
    offset: int

    @property
    def name(self) -> str:
        """The name as text."""
        return self.label.decode("utf-8" if self.flags & 0x800 else "cp437", "replace")


by_offset = attrgetter("offset")


@dataclass(frozen=True, kw_only=True, slots=True)
class Directory:
    """One central directory; ``shift`` is what stands before the archive's first byte, ``end`` its end record."""

    start: int
    end: int
    shift: int
    entries: tuple[Entry, ...]
    fits: bool

    def holds(self, source: Source, other: Directory) -> bool:
        """Whether the other archive is in the content of one member here."""
        before = [entry for entry in self.entries if entry.offset + self.shift < other.start]
        if not before:
            return False
        entry = max(before, key=by_offset)
        begin = content_start(source, entry.offset + self.shift)
        return begin is not None and begin <= other.start and other.end + END.size <= begin + entry.packed


@dataclass(frozen=True, kw_only=True, slots=True)
class Ends:
    """What the end records of a file lead to; the directory that readers prefer comes first.

    ``lost`` says why an end record that a reader may take leads to no directory, or is not followed.
    """

    directories: tuple[Directory, ...] = ()
    lost: str = ""

    def outside(self, spans: list[tuple[int, int]]) -> Ends:
        """Without the archives that lie in one of these parts of the file, which are opened by themselves."""
        kept = tuple(
            directory
            for directory in self.directories
            if not any(start <= directory.shift and directory.end + END.size <= end for start, end in spans)
        )
        return Ends(directories=kept, lost=self.lost)


def content_start(source: Source, place: int) -> int | None:
    """Where the content begins of the member whose local header stands at ``place``; None without a whole header."""
    head = source.read(place, LOCAL.size)
    return place + LOCAL.size + sum(_LENGTHS.unpack_from(head, 26)) if len(head) == LOCAL.size else None


def directories(source: Source, tail: bytes, limit: int) -> Ends:
    """Every central directory that an end record in ``tail``, the file's end, leads to.

    Where the record says that the directory is not where it says that it begins, zipfile counts back
    from the record, or from the zip64 records before it, and miniz believes the offset: all are followed.
    """
    base = source.size - len(tail)
    known: dict[int, Directory] = {}
    lost = ""
    place = tail.rfind(_END_MAGIC)
    floor = 0
    while place >= 0 and base + place >= floor:
        record = tail[place : place + END.size]
        if len(record) == END.size:
            if len(known) >= _MOST:
                lost = f"it has more than {_MOST} directories"
                break
            before, end = len(known), base + place
            *_, count, length, offset, comment = END.unpack(record)
            claim = (count, length, offset)
            repeated = _follow_all(source, claim, end, limit, known)
            meant = place + END.size + comment == len(tail)
            if meant and not repeated and len(known) == before:
                lost = "its end record leads to no directory"
            first = next(iter(known.values()), None)
            if first is not None and first.shift > 0 and ends_archive(source, first.shift):
                floor = first.shift  # what stands before it is an archive of its own
        place = tail.rfind(_END_MAGIC, 0, place)
    every = list(known.values())
    kept = every[:1] + [other for other in every[1:] if not every[0].holds(source, other)]
    return Ends(directories=tuple(kept), lost=lost)


def _follow_all(source: Source, claim: tuple[int, int, int], end: int, limit: int, known: dict[int, Directory]) -> bool:
    """Add to ``known`` what an end record and the zip64 records before it lead to; whether one was known already."""
    count, length, offset = claim
    wide = list(_wide_claims(source, end))
    # The directory ends before the zip64 records, where there are some, and not at the narrow record.
    closes = [close for *_, close in wide] or [end]
    claims = (*wide, *((count, length, offset, close) for close in closes))
    repeated = any(start in known for one in claims for start in _starts(one))
    for one in claims:
        for directory in _followed(source, one, end, limit, known):
            known[directory.start] = directory
    if wide and length and (whole := _whole(source, end, length, limit, known)):
        known[whole.start] = whole
    return repeated


def _wide_claims(source: Source, end: int) -> Iterator[tuple[int, int, int, int]]:
    """What zip64 end records say: entries, length and offset of the directory, and where it must have ended."""
    locator = source.read(end - _LOCATOR.size, _LOCATOR.size)
    if not locator.startswith(b"PK\x06\x07"):
        return
    for place in (end - _LOCATOR.size - _END64.size, _LOCATOR.unpack(locator)[2]):
        record = source.read(place, _END64.size)
        if record.startswith(b"PK\x06\x06") and len(record) == _END64.size:
            *_, count, length, offset = _END64.unpack(record)
            yield count, length, offset, place


def _whole(source: Source, end: int, length: int, limit: int, known: Container[int]) -> Directory | None:
    """The directory that a reader finds which overlooks zip64 records and counts back from the narrow one.

    zipfile does so where it finds a locator and no record right before it, and refuses what ends too early: counted
    back over the zip64 records, an honest directory does.
    """
    start = end - length
    data = b"" if start < 0 or start in known else source.read(start, length)
    entries, used = _entries(data, limit)
    if not entries or used < length:
        return None
    return Directory(start=start, end=end, shift=0, entries=tuple(entries), fits=False)


def _starts(claim: tuple[int, int, int, int]) -> tuple[int, ...]:
    """Where the directory of a claim may begin: counted back from its end, or where it says."""
    count, length, offset, close = claim
    return (close,) if count == length == 0 else tuple(dict.fromkeys((close - length, offset)))


def _followed(
    source: Source, claim: tuple[int, int, int, int], end: int, limit: int, known: Container[int]
) -> Iterator[Directory]:
    count, length, offset, close = claim
    for start in _starts(claim):
        if start < 0 or start in known:
            continue
        if count == length == 0:
            yield Directory(start=start, end=end, shift=0, entries=(), fits=True)
            continue
        # miniz takes a directory wherever the record says that it is, before the record or behind it.
        room = max(length, close - start)
        data = source.read(start, min(room, _DIRECTORY))
        if data.startswith(b"PK\x01\x02"):
            entries, used = _entries(data if len(data) < _DIRECTORY else source.read(start, room), limit)
            fits = used == length and len(entries) & 0xFFFF == count & 0xFFFF
            shift = close - length - offset if start == close - length else 0
            yield Directory(start=start, end=end, shift=shift, entries=tuple(entries), fits=fits)


def _entries(data: bytes, limit: int) -> tuple[list[Entry], int]:
    """The entries of a central directory and the bytes that they take."""
    entries: list[Entry] = []
    place, fixed, unpack = 0, _CENTRAL.size, _CENTRAL.unpack_from
    while place + fixed <= len(data) and len(entries) <= limit:
        fields = unpack(data, place)
        magic, _, _, flags, method, _, _, crc, packed, size, length, extra, comment, _, _, _, offset = fields
        if magic != b"PK\x01\x02":
            break
        begin = place + fixed
        label = data[begin : begin + length]
        if NARROW in (packed, size, offset):
            size, packed, offset = _widened(data[begin + length : begin + length + extra], size, packed, offset)
        entries.append(Entry(label, flags, method, crc, packed, size, offset))
        place = begin + length + extra + comment
    return entries, place


def _widened(extra: bytes, *narrow: int) -> list[int]:
    """Sizes and offset with those that did not fit 32 bits taken from the zip64 extra field."""
    place = 0
    while place + 4 <= len(extra):
        kind, length = struct.unpack_from("<HH", extra, place)
        place += 4
        if kind == 1:
            wide = iter(struct.unpack_from(f"<{min(length, len(extra) - place) // 8}Q", extra, place))
            return [next(wide, value) if value == NARROW else value for value in narrow]
        place += length
    return list(narrow)


def in_a_row(source: Source, first: Directory) -> list[tuple[int, int]]:
    """(start, end) of each archive where ``first``, the last of them, stands right behind another one.

    So torch writes checkpoints of several processes (``.distcp``): each archive is read by its place in the file.
    """
    rows = [(first.shift, source.size)]
    while rows[-1][0] > 0 and ends_archive(source, rows[-1][0]) and len(rows) < _MOST_IN_A_ROW:
        end = rows[-1][0]
        before = source.window(0, end)
        found = directories(before, before.tail(END.size), 1).directories
        rows.append((min(max(found[0].shift, 0), end - END.size) if found else 0, end))
    if rows[-1][0] > 0:
        rows.append((0, rows.pop()[1]))
    return rows[::-1] if len(rows) > 1 else []


def ends_archive(source: Source, place: int) -> bool:
    """Whether an end record without a comment stands right before ``place``."""
    record = source.read(place - END.size, END.size)
    return len(record) == END.size and record.startswith(_END_MAGIC) and record.endswith(b"\0\0")
