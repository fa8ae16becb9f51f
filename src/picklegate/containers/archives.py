"""Compression around anything, tar and 7z: members are opened one by one, whatever their names."""

from __future__ import annotations

import importlib
import io
import struct
import tarfile
from dataclasses import dataclass, field
from typing import Any

from picklegate.containers import probe, torch
from picklegate.containers.context import EXTRA, Context
from picklegate.containers.detect import ZFILE_HEADER, is_candidate, is_tar
from picklegate.containers.source import Source
from picklegate.pickles import Global

_TORCH_MEMBERS = frozenset(("sys_info", "pickle", "storages", "tensors"))
_STRONG = frozenset(("gzip", "bz2", "xz", "lz4", "zstd", "zfile"))
"""Compressions that other bytes do not begin like by chance."""
_TAR_FAULTS = (tarfile.TarError, OSError, ValueError, EOFError, OverflowError, RecursionError, IndexError, struct.error)


def read_compressed(context: Context, source: Source, name: str, depth: int, codec: str) -> str:
    """Open what decompressing gives; the container is the inner one's name with the codec's after it."""
    if codec == "zfile":
        # joblib before 0.10: the length in hexadecimal, padded, then zlib; joblib 0.8 padded by one space more.
        source = source.window(ZFILE_HEADER + (source.read(ZFILE_HEADER, 1) == b" "))
    before = len(context.streams)
    inflated = probe.inflate(context, "zlib" if codec == "zfile" else codec, source, name)
    if inflated is None:
        return codec
    if inflated.error and not inflated.data:
        if codec in _STRONG:
            context.bound("archive.damaged", f"it does not decompress at all: {inflated.error}", name)
        return ""
    kind = context.open(Source(inflated.data, partial=inflated.partial), name, depth + 1)
    if inflated.error:
        streams = context.streams[before:]
        if streams and all(stream.trace.stopped for stream in streams):
            context.odd("archive.damaged", f"it does not decompress to its end: {inflated.error}", name)
        else:
            context.bound("archive.damaged", f"it does not decompress to its end: {inflated.error}", name)
    return f"{kind}_{codec}"


class _File(io.RawIOBase):
    """A source as the file object that library readers want."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._position = offset + (0, self._position, self._source.size)[whence]
        return self._position

    def tell(self) -> int:
        return self._position

    def read(self, size: int | None = -1) -> bytes:
        data = self._source.read(self._position, self._source.size if size is None or size < 0 else size)
        self._position += len(data)
        return data


@dataclass(slots=True)
class _Tar:
    """The members of a tar archive that were opened: their names, and (start, end) of each content in the file."""

    names: set[str] = field(default_factory=set)
    spans: list[tuple[int, int]] = field(default_factory=list)


def read_tar(context: Context, source: Source, name: str, depth: int, start: int) -> tuple[str, list[tuple[int, int]]]:
    """Open every member of a tar archive from ``start`` on; its name, and (start, end) of each opened content.

    An old torch file has its own members.

    Readers can be told to pass over blocks of zeros, and then find further archives; others read on behind a
    header that the checksum does not hold for, so that what is left and not empty is UNSCANNABLE.
    """
    tar = _Tar()
    place = start
    while place < source.size and not context.late():
        zeros = source.zeros(place)
        if place + zeros == source.size:
            break
        place += zeros // 512 * 512
        if not is_tar(source.read(place, 512)):
            context.bound("tar.damaged", "what follows its last member is no member and not empty", name, place)
            break
        end = _read_tar(context, source, place, name, depth, tar)
        if not end:
            break
        place += end
    return "torch_tar" if {"pickle", "storages"} <= tar.names else "tar", tar.spans


def _read_tar(context: Context, whole: Source, place: int, name: str, depth: int, tar: _Tar) -> int:
    """Open the members up to the first block of zeros; how far that is, 0 where reading cannot go on."""
    source = whole.window(place)
    try:
        with tarfile.open(fileobj=_File(source), mode="r:") as archive:
            for member in archive:
                if not context.admits(name):
                    return 0
                path = f"{name}/{member.name}" if name else member.name
                if member.name in _TORCH_MEMBERS and (member.islnk() or member.issym()):
                    context.bound("tar.link", "a member that torch loads is a link to another", path)
                served = member.isreg() or member.type not in tarfile.SUPPORTED_TYPES
                if member.size < 0:
                    context.bound("tar.damaged", "the member has a length below zero", path)
                    return 0
                if not served or member.size <= 0:
                    continue
                tar.names.add(member.name)
                content = source.window(member.offset_data, member.size)
                if member.issparse():
                    content = _filled(context, archive, member, path)
                else:
                    begin = place + member.offset_data
                    tar.spans.append((begin, begin + content.size))
                    if content.size < member.size:
                        context.bound("tar.damaged", "the member is longer than the archive", path)
                _read_tar_member(context, content, member.name, path, depth)
            return int(archive.offset)
    except _TAR_FAULTS as error:
        context.bound("tar.damaged", f"the archive cannot be read to its end: {error}", name)
        return 0


def _filled(context: Context, archive: tarfile.TarFile, member: tarfile.TarInfo, path: str) -> Source:
    """The content of a member that is stored without its holes."""
    left = context.bytes_left
    if member.size > left:
        context.bound("limit.inflated", "its holes would pass a limit on size", path)
    file = archive.extractfile(member)
    data = file.read(min(member.size, left)) if file is not None else b""
    context.inflated += len(data)
    return Source(data)


def _read_tar_member(context: Context, content: Source, member: str, path: str, depth: int) -> None:
    if member in ("storages", "tensors") and _read_tensors(context, content, path, depth):
        return
    context.open(content, path, depth + 1)


def _read_tensors(context: Context, content: Source, path: str, depth: int) -> bool:
    """The pickles of torch's first format, each followed by what it describes; False where it begins with none.

    ``storages``: a count, then for each storage (key, location, type) and the raw storage, then the views.
    ``tensors``: a count, then for each tensor (key, storage, type) and its dimensions, sizes, strides and offset.
    """
    data = content.prefix(content.size)
    place = 0
    while place < len(data):
        seen = context.trace(data, place)
        if not is_candidate(data, seen, claimed=not place):
            return place > 0
        context.stream(f"{path}: stream at {place}", seen, depth)
        if not seen.stopped:
            return True
        place = seen.end
        kind = seen.result[-1] if isinstance(seen.result, tuple) and seen.result else None
        if isinstance(kind, Global) and kind.name.endswith("Storage"):
            size = torch.item_size(kind)
            if size is None:
                context.bound("torch.unknown-storage", f"the length of a {kind.name} is not known", path, place)
                return True
            place += 8 + max(0, int.from_bytes(data[place : place + 8], "little", signed=True)) * size
        elif isinstance(kind, Global) and kind.name.endswith("Tensor"):
            sides = max(0, int.from_bytes(data[place : place + 4], "little", signed=True))
            place += 8 + 16 * sides + 8
    return True


def read_7z(context: Context, source: Source, name: str, depth: int) -> str:
    """Open every member of a 7z archive, with py7zr where it is installed."""
    try:
        library: Any = importlib.import_module("py7zr")
    except ImportError:
        context.bound("archive.library-missing", f"reading a 7z archive needs py7zr: install {EXTRA}", name)
        return "7z"
    left = context.bytes_left
    try:
        with library.SevenZipFile(_File(source), "r") as archive:
            members = archive.list()
            if not all(context.admits(name) for _ in members):
                return "7z"
            if sum(member.uncompressed or 0 for member in members) > left:
                context.bound("limit.inflated", "decompressing it would pass a limit on size", name)
                return "7z"
            factory = library.io.BytesIOFactory(left)
            archive.extractall(factory=factory)  # noqa: S202  into memory, not onto a disk
    except Exception as error:  # noqa: BLE001  py7zr raises what its many codecs raise
        context.bound("7z.damaged", f"the archive cannot be read: {type(error).__name__}", name)
        return "7z"
    for member, product in factory.products.items():
        product.seek(0)
        data = product.read()
        context.inflated += len(data)
        context.open(Source(data), f"{name}/{member}" if name else member, depth + 1)
    return "7z"
