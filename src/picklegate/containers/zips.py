"""Zip archives as tolerant readers see them (miniz inside torch, zipfile): every reading, and where they differ.

Layout: https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT
"""

from __future__ import annotations

import struct
import zlib
from collections import Counter
from collections.abc import Container, Iterator
from dataclasses import dataclass
from operator import attrgetter

from picklegate.containers import probe, stable_baselines, torch
from picklegate.containers.context import Walk
from picklegate.containers.source import Source

_END = struct.Struct("<4s4H2LH")
_END64 = struct.Struct("<4sQ2H2L4Q")
_LOCATOR = struct.Struct("<4sLQL")
_CENTRAL = struct.Struct("<4s6H3L5H2L")
_LOCAL = struct.Struct("<4s5H3L2H")
_LENGTHS = struct.Struct("<HH")
TAIL = _END.size + 0xFFFF
"""Bytes at the end of a file in which readers look for an end record."""
_SLACK = 256
"""Bytes read beyond what the central directory says of a local header: its extra field may be another."""
_NARROW = 0xFFFFFFFF
_FETCHED = 1 << 20
"""Bytes of a stored member that are asked for at once."""
_DIRECTORY = 1 << 20
"""Bytes that are asked for where a directory may begin; nearly all are shorter."""
_CHECKED = 1 << 26
"""Bytes up to which the checksum of a member with streams is verified."""
_SALVAGED = 1 << 20
_SALVAGED_MEMBERS = 1_000
_LOCAL_MAGIC = b"PK\x03\x04"
_offset = attrgetter("offset")

_METHODS = {8: "deflate", 12: "bz2", 14: "zip-lzma", 93: "zstd", 95: "xz"}


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
        entry = max(before, key=_offset)
        begin = _content(source, entry.offset + self.shift)
        return begin is not None and begin <= other.start and other.end + _END.size <= begin + entry.packed


def _content(source: Source, place: int) -> int | None:
    """Where the content begins of the member whose local header stands at ``place``; None without a whole header."""
    head = source.read(place, _LOCAL.size)
    return place + _LOCAL.size + sum(_LENGTHS.unpack_from(head, 26)) if len(head) == _LOCAL.size else None


def directories(source: Source, tail: bytes, limit: int) -> list[Directory]:
    """Every central directory that an end record in ``tail`` leads to; the one readers prefer comes first.

    Where the record says that the directory is not where it says that it begins, zipfile counts back
    from the record, or from the zip64 records before it, and miniz believes the offset: all are followed.
    """
    base = source.size - len(tail)
    found: dict[int, Directory] = {}
    place = tail.rfind(b"PK\x05\x06")
    while place >= 0 and len(found) < 16:
        record = tail[place : place + _END.size]
        if len(record) == _END.size:
            _, _, _, _, count, length, offset, _ = _END.unpack(record)
            end = base + place
            wide = list(_wide_claims(source, end))
            # The directory ends before the zip64 records, where there are some, and not at the narrow record.
            closes = [close for *_, close in wide] or [end]
            for claim in (*wide, *((count, length, offset, close) for close in closes)):
                for directory in _followed(source, claim, end, limit, found):
                    found[directory.start] = directory
            if wide and length and (whole := _whole(source, end, length, limit, found)):
                found[whole.start] = whole
        place = tail.rfind(b"PK\x05\x06", 0, place)
    every = list(found.values())
    return every[:1] + [other for other in every[1:] if not every[0].holds(source, other)]


def _wide_claims(source: Source, end: int) -> Iterator[tuple[int, int, int, int]]:
    """What zip64 end records say: entries, length and offset of the directory, and where it must have ended."""
    locator = source.read(end - _LOCATOR.size, _LOCATOR.size)
    if not locator.startswith(b"PK\x06\x07"):
        return
    for place in (end - _LOCATOR.size - _END64.size, _LOCATOR.unpack(locator)[2]):
        record = source.read(place, _END64.size)
        if record.startswith(b"PK\x06\x06") and len(record) == _END64.size:
            _, _, _, _, _, _, _, count, length, offset = _END64.unpack(record)
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


def _followed(
    source: Source, claim: tuple[int, int, int, int], end: int, limit: int, known: Container[int]
) -> Iterator[Directory]:
    count, length, offset, close = claim
    if count == length == 0 and close not in known:
        yield Directory(start=close, end=end, shift=0, entries=(), fits=True)
        return
    for start in dict.fromkeys((close - length, offset)):
        if start < 0 or start in known:
            continue
        room = (close if start < close else end) - start
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
        if _NARROW in (packed, size, offset):
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
            return [next(wide, value) if value == _NARROW else value for value in narrow]
        place += length
    return list(narrow)


def read(walk: Walk, source: Source, name: str, depth: int, found: list[Directory]) -> str:
    """Open every member that torch does not read as a tensor, in every reading of the directory."""
    if not found:
        walk.bound("zip.no-directory", "the archive ends without a directory: it is cut off or damaged", name)
        found = [_salvaged(source)]
    if len(found) > 1:
        walk.odd("zip.several-directories", "it has several directories, of which readers choose differently", name)
    container = "zip"
    for directory in found:
        container = max(container, _read_directory(walk, source, name, depth, directory), key=len)
    return container


def _read_directory(walk: Walk, source: Source, name: str, depth: int, directory: Directory) -> str:
    if not directory.fits:
        walk.odd("zip.end-record-mismatch", "its end record does not describe its directory", name)
    if not walk.admits(name, len(directory.entries)):
        return "zip"
    entries = directory.entries
    inside = torch.roots(entry.label for entry in entries)
    if inside:
        entries = tuple(
            entry
            for entry in entries
            if not torch.is_record(entry.label, inside) or _is_array(source, entry, directory)
        )
    container = torch.zip_container(entry.label for entry in entries) if inside else "zip"
    live: set[str] = set()
    opened: list[str] = []
    for entry in entries:
        if entry.packed == 0 == entry.size:
            continue
        before = len(walk.streams)
        path = f"{name}/{entry.name}" if name else entry.name
        places = _places(source, entry, directory)
        if len(places) > 1:
            walk.odd("zip.ambiguous-offset", "the member is in two places, of which readers choose differently", path)
        kinds = [_open_member(walk, source, place, entry, path, depth) for place in places]
        if "stable_baselines" in kinds:
            container = "stable_baselines_zip"
        opened.append(entry.name.lower() if torch.is_object(entry.label) else entry.name)
        if len(walk.streams) > before:
            live.add(opened[-1])
    for label, count in Counter(opened).items():
        if count > 1 and label in live:
            walk.odd("zip.duplicate-member", f"{count} members have one name for its reader", label)
    _check_overlap(walk, name, directory)
    return container


def _check_overlap(walk: Walk, name: str, directory: Directory) -> None:
    free = 0
    for entry in sorted(directory.entries, key=_offset):
        if entry.offset < free:
            walk.odd("zip.overlap", "members share bytes", f"{name}/{entry.name}" if name else entry.name)
            return
        free = entry.offset + _LOCAL.size + len(entry.label) + entry.packed


def _is_array(source: Source, entry: Entry, directory: Directory) -> bool:
    """Whether what stands where torch keeps numbers is an array to ``numpy.load``, which may unpickle it."""
    if not source.is_buffer or entry.method != 0:
        return source.is_buffer
    contents = (_content(source, place) for place in _places(source, entry, directory))
    return any(begin is not None and source.read(begin, 6) == b"\x93NUMPY" for begin in contents)


def _places(source: Source, entry: Entry, directory: Directory) -> list[int]:
    """Where the member's local header may stand: readers differ on whether to add what precedes the archive."""
    places = dict.fromkeys((entry.offset + directory.shift, entry.offset))
    return [place for place in places if source.read(place, 4) == _LOCAL_MAGIC] or [next(iter(places))]


def _open_member(walk: Walk, source: Source, place: int, entry: Entry, path: str, depth: int) -> str:
    head = source.read(place, _LOCAL.size + len(entry.label) + _SLACK)
    if not head.startswith(_LOCAL_MAGIC) or len(head) < _LOCAL.size:
        walk.bound("zip.no-local-header", "the directory points at no member", path)
        return ""
    _, _, flags, method, _, _, crc, packed, size, length, extra = _LOCAL.unpack_from(head)
    begin = _LOCAL.size + length + extra
    unlike = []
    if head[_LOCAL.size : _LOCAL.size + length] != entry.label:
        unlike.append("name")
    if method != entry.method:
        unlike.append("method")
    if (flags ^ entry.flags) & 1:
        unlike.append("encryption")
    pairs = ((crc, entry.crc), (packed, entry.packed), (size, entry.size))
    if any(local not in (known, _NARROW) and (local or not flags & 8) for local, known in pairs):
        unlike.append("checksum or size")
    if entry.method == 0 and entry.packed != entry.size:
        unlike.append("stored size")
    if unlike:
        walk.odd("zip.header-mismatch", f"the two headers of the member disagree: {', '.join(unlike)}", path)
    if entry.flags & 1:
        walk.bound("zip.encrypted", "the member is encrypted", path)
    if place + begin + entry.packed > source.size:
        walk.bound("zip.truncated", "the member is longer than the archive", path)
    kinds = []
    for way in dict.fromkeys((entry.method, method)):
        count = entry.packed if way else max(entry.packed, entry.size)
        kinds.append(_open_content(walk, source.window(place + begin, count), entry, way, path, depth))
    return kinds[0]


def _open_content(walk: Walk, packed: Source, entry: Entry, method: int, path: str, depth: int) -> str:
    before = len(walk.streams)
    may_be_json = entry.name.rpartition("/")[2] == stable_baselines.MEMBER
    if method == 0:
        content = packed.fetched(_CHECKED if torch.is_object(entry.label) else _FETCHED)
    elif method not in _METHODS:
        walk.bound("zip.method", f"the member is compressed in a way that is not supported ({method})", path)
        return ""
    else:
        codec = _METHODS[method]
        if may_be_json:
            inflated = walk.inflate(codec, packed, path)
        else:
            inflated = probe.inflate(walk, codec, packed, path, entry.size)
        if inflated is None:
            return ""
        if inflated.error and len(inflated.data) != entry.size:
            walk.bound("zip.damaged", f"the member does not decompress to its end: {inflated.error}", path)
        content = Source(inflated.data)
    if may_be_json and stable_baselines.read(walk, content, path, depth):
        return "stable_baselines"
    kind = walk.open(content, path, depth + 1)
    checked = len(walk.streams) > before and content.size <= _CHECKED
    if checked and (content.size != entry.size or zlib.crc32(content.read(0, content.size)) != entry.crc):
        walk.odd("zip.bad-checksum", "the member's checksum or size is wrong: torch loads it, others do not", path)
    return kind


def _salvaged(source: Source) -> Directory:
    """The members that stand in the first megabyte, as a reader without a directory would take them."""
    data = source.read(0, _SALVAGED)
    entries: list[Entry] = []
    place = data.find(_LOCAL_MAGIC)
    while 0 <= place <= len(data) - _LOCAL.size and len(entries) < _SALVAGED_MEMBERS:
        _, _, flags, method, _, _, crc, packed, size, length, extra = _LOCAL.unpack_from(data, place)
        following = data.find(_LOCAL_MAGIC, place + 4)
        begin = place + _LOCAL.size + length + extra
        label = data[place + _LOCAL.size : place + _LOCAL.size + length]
        room = (following if following > 0 else source.size) - begin
        packed = packed if 0 < packed <= room else max(room, 0)
        entries.append(Entry(label, flags, method, crc, packed, size or packed, place))
        place = following
    return Directory(start=0, end=0, shift=0, entries=tuple(entries), fits=True)
