"""Zip archives as tolerant readers see them (miniz inside torch, zipfile): every reading, and where they differ."""

from __future__ import annotations

import zlib
from collections import Counter

from picklegate.containers import probe, stable_baselines, torch, torch_code
from picklegate.containers.context import Context
from picklegate.containers.detect import HEAD, is_importable, sniff
from picklegate.containers.directories import (
    LOCAL,
    LOCAL_MAGIC,
    NARROW,
    TAIL,
    Directory,
    Ends,
    Entry,
    by_offset,
    content_start,
    directories,
    in_a_row,
)
from picklegate.containers.source import Source
from picklegate.pickles.opcodes import NAMES

_SLACK = 256
"""Bytes read beyond what the central directory says of a local header: its extra field may be another."""
_FETCHED = 1 << 20
"""Bytes of a stored member that are asked for at once."""
_CHECKED = 1 << 26
"""Bytes up to which the checksum of a member with streams is verified."""
_SALVAGED = 1 << 20
_SALVAGED_MEMBERS = 1_000
_FIRST = tuple(bytes((opcode,)) for opcode in NAMES)
_RECORD = 1 << 12
"""Bytes of a record of numbers in which a pickle's first import would stand."""
_TOLD = frozenset(("npy", "zip", "7z", "xz", "bz2", "zstd", "lz4"))
"""Formats that numbers do not begin like by chance."""
_SEVERAL = "it has several directories, of which readers choose differently"
_METHODS = {8: "deflate", 12: "bz2", 14: "zip-lzma", 93: "zstd", 95: "xz"}


def read(context: Context, source: Source, name: str, depth: int, ends: Ends) -> str:
    """Open every member that torch does not read as a tensor, in every reading of the directory."""
    if ends.lost:
        context.bound("zip.no-directory", ends.lost, name)
    elif not ends.directories:
        context.bound("zip.no-directory", "the archive ends without a directory: it is cut off or damaged", name)
    if not ends.directories:
        return _read_directory(context, source, name, depth, _salvaged(source))
    first, *others = ends.directories
    row = in_a_row(source, first)
    if not row:
        return _read_alone(context, source, name, depth, ends.directories)
    container = "zip"
    starts: set[int] = set()
    for number, (start, end) in enumerate(row, 1):
        part = source.window(start, end - start)
        here = directories(part, part.tail(TAIL), context.members_left).directories
        starts.update(start + directory.start for directory in here)
        label = f"{name or 'archive'} {number}"
        container = max(container, _read_alone(context, part, label, depth, here), key=len)
    rest = tuple(directory for directory in others if directory.start not in starts)
    if rest:
        context.odd("zip.several-directories", _SEVERAL, name)
        _read_alone(context, source, name, depth, rest)
    return container


def _read_alone(context: Context, source: Source, name: str, depth: int, readings: tuple[Directory, ...]) -> str:
    if len(readings) > 1:
        context.odd("zip.several-directories", _SEVERAL, name)
    container = "zip"
    for directory in readings:
        container = max(container, _read_directory(context, source, name, depth, directory), key=len)
    return container


def _read_directory(context: Context, source: Source, name: str, depth: int, directory: Directory) -> str:
    if not directory.fits:
        context.odd("zip.end-record-mismatch", "its end record does not describe its directory", name)
    if not context.admits(name, len(directory.entries)):
        return "zip"
    entries = directory.entries
    inside = torch.roots(entry.label for entry in entries)
    if inside:
        entries = tuple(
            entry
            for entry in entries
            if not torch.is_record(entry.label, inside) or _is_loaded(context, source, entry, directory)
        )
    container = torch.zip_container(entry.label for entry in entries) if inside else "zip"
    torch_code.judge_package(context, (entry.label for entry in directory.entries), name)
    scripts: list[bytes] = []
    live: set[str] = set()
    opened: list[str] = []
    for entry in entries:
        if entry.packed == 0 == entry.size:
            continue
        before = len(context.streams)
        path = f"{name}/{entry.name}" if name else entry.name
        places = _places(source, entry, directory)
        if len(places) > 1:
            context.odd(
                "zip.ambiguous-offset", "the member is in two places, of which readers choose differently", path
            )
        kinds = [_open_member(context, source, place, entry, path, depth, scripts) for place in places]
        if "stable_baselines" in kinds:
            container = "stable_baselines_zip"
        opened.append(entry.name.lower() if torch.is_object(entry.label) else entry.name)
        if len(context.streams) > before:
            live.add(opened[-1])
    for label, count in Counter(opened).items():
        if count > 1 and label in live:
            context.odd("zip.duplicate-member", f"{count} members have one name for its reader", label)
    torch_code.judge(context, scripts, name)
    _check_overlap(context, name, directory)
    return container


def _check_overlap(context: Context, name: str, directory: Directory) -> None:
    free = 0
    for entry in sorted(directory.entries, key=by_offset):
        if entry.offset < free:
            context.odd("zip.overlap", "members share bytes", f"{name}/{entry.name}" if name else entry.name)
            return
        free = entry.offset + LOCAL.size + len(entry.label) + entry.packed


def _is_loaded(context: Context, source: Source, entry: Entry, directory: Directory) -> bool:
    """Whether what stands where torch keeps numbers is something else to another loader.

    It is an array or an archive to ``numpy.load``, which may unpickle it, or it begins a pickle that imports.
    """
    if not source.resident or entry.method != 0:
        return source.resident
    for begin in (content_start(source, place) for place in _places(source, entry, directory)):
        data = b"" if begin is None else source.read(begin, min(_RECORD, entry.packed))
        if sniff(data[:HEAD], entry.packed) in _TOLD:
            return True
        if data.startswith(_FIRST) and any(map(is_importable, context.trace(data).imports)):
            return True
    return False


def _places(source: Source, entry: Entry, directory: Directory) -> list[int]:
    """Where the member's local header may stand: readers differ on whether to add what precedes the archive."""
    places = dict.fromkeys((entry.offset + directory.shift, entry.offset))
    return [place for place in places if source.read(place, 4) == LOCAL_MAGIC] or [next(iter(places))]


def _open_member(
    context: Context, source: Source, place: int, entry: Entry, path: str, depth: int, scripts: list[bytes]
) -> str:
    head = source.read(place, LOCAL.size + len(entry.label) + _SLACK)
    if not head.startswith(LOCAL_MAGIC) or len(head) < LOCAL.size:
        context.bound("zip.no-local-header", "the directory points at no member", path)
        return ""
    _, _, flags, method, _, _, crc, packed, size, length, extra = LOCAL.unpack_from(head)
    begin = LOCAL.size + length + extra
    unlike = []
    if head[LOCAL.size : LOCAL.size + length] != entry.label:
        unlike.append("name")
    if method != entry.method:
        unlike.append("method")
    if (flags ^ entry.flags) & 1:
        unlike.append("encryption")
    pairs = ((crc, entry.crc), (packed, entry.packed), (size, entry.size))
    if any(local not in (known, NARROW) and (local or not flags & 8) for local, known in pairs):
        unlike.append("checksum or size")
    if entry.method == 0 and entry.packed != entry.size:
        unlike.append("stored size")
    if unlike:
        context.odd("zip.header-mismatch", f"the two headers of the member disagree: {', '.join(unlike)}", path)
    if entry.flags & 1:
        context.bound("zip.encrypted", "the member is encrypted", path)
    if place + begin + entry.packed > source.size:
        context.bound("zip.truncated", "the member is longer than the archive", path)
    kinds = []
    for way in dict.fromkeys((entry.method, method)):
        count = entry.packed if way else max(entry.packed, entry.size)
        content = _content(context, source.window(place + begin, count), entry, way, path)
        if content is not None:
            kinds.append(_open_content(context, content, entry, path, depth, scripts))
    return kinds[0] if kinds else ""


def _content(context: Context, packed: Source, entry: Entry, method: int, path: str) -> Source | None:
    """The member's content by one of its methods; None, with a finding, where it cannot be had."""
    if method == 0:
        return packed.fetched(_CHECKED if torch.is_object(entry.label) else _FETCHED)
    if method not in _METHODS:
        context.bound("zip.method", f"the member is compressed in a way that is not supported ({method})", path)
        return None
    if _is_json(entry) or torch_code.is_code(entry.label):
        inflated = context.inflate(_METHODS[method], packed, path)
    else:
        inflated = probe.inflate(context, _METHODS[method], packed, path, entry.size)
    if inflated is None:
        return None
    if inflated.error and len(inflated.data) != entry.size:
        context.bound("zip.damaged", f"the member does not decompress to its end: {inflated.error}", path)
    return Source(inflated.data, partial=inflated.partial)


def _is_json(entry: Entry) -> bool:
    return entry.name.rpartition("/")[2] == stable_baselines.MEMBER


def _open_content(context: Context, content: Source, entry: Entry, path: str, depth: int, scripts: list[bytes]) -> str:
    before = len(context.streams)
    if torch_code.is_code(entry.label):
        scripts.append(content.read(0, content.size))
    known = _is_json(entry) and stable_baselines.read(context, content, path, depth)
    kind = "stable_baselines" if known else context.open(content, path, depth + 1)
    checked = len(context.streams) > before and content.size <= _CHECKED and not known
    if checked and (content.size != entry.size or zlib.crc32(content.read(0, content.size)) != entry.crc):
        context.odd("zip.bad-checksum", "the member's checksum or size is wrong: torch loads it, others do not", path)
    return kind


def _salvaged(source: Source) -> Directory:
    """The members that stand in the first megabyte, as a reader without a directory would take them."""
    data = source.read(0, _SALVAGED)
    entries: list[Entry] = []
    place = data.find(LOCAL_MAGIC)
    while 0 <= place <= len(data) - LOCAL.size and len(entries) < _SALVAGED_MEMBERS:
        _, _, flags, method, _, _, crc, packed, size, length, extra = LOCAL.unpack_from(data, place)
        following = data.find(LOCAL_MAGIC, place + 4)
        begin = place + LOCAL.size + length + extra
        label = data[place + LOCAL.size : place + LOCAL.size + length]
        room = (following if following > 0 else source.size) - begin
        packed = packed if 0 < packed <= room else max(room, 0)
        entries.append(Entry(label, flags, method, crc, packed, size or packed, place))
        place = following
    return Directory(start=0, end=0, shift=0, entries=tuple(entries), fits=True)
