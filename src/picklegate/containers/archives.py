"""Compression around anything, tar and 7z: members are opened one by one, whatever their names."""

from __future__ import annotations

import importlib
import io
import struct
import tarfile
from typing import Any

from picklegate.containers import probe, torch
from picklegate.containers.context import EXTRA, Walk
from picklegate.containers.detect import is_candidate
from picklegate.containers.source import Source
from picklegate.pickles import Global

_TORCH_MEMBERS = frozenset(("sys_info", "pickle", "storages", "tensors"))
_ZFILE_HEADER = 21
_TAR_RECORD = 10_240
_TAR_FAULTS = (tarfile.TarError, OSError, ValueError, EOFError, OverflowError, RecursionError, IndexError, struct.error)


def read_compressed(walk: Walk, source: Source, name: str, depth: int, codec: str) -> str:
    """Open what decompressing gives; the container is the inner one's name with the codec's after it."""
    if codec == "zfile":
        # joblib before 0.10: the length in hexadecimal, padded, then zlib; joblib 0.8 padded by one space more.
        source = source.window(_ZFILE_HEADER + (source.read(_ZFILE_HEADER, 1) == b" "))
    before = len(walk.streams)
    inflated = probe.inflate(walk, "zlib" if codec == "zfile" else codec, source, name)
    if inflated is None:
        return codec
    if inflated.error and not inflated.data:
        return ""
    kind = walk.open(Source(inflated.data), name, depth + 1)
    if inflated.error:
        found = walk.streams[before:]
        if found and all(stream.trace.stopped for stream in found):
            walk.odd("archive.damaged", f"it does not decompress to its end: {inflated.error}", name)
        else:
            walk.bound("archive.damaged", f"it does not decompress to its end: {inflated.error}", name)
    return f"{kind}_{codec}"


class _File(io.RawIOBase):
    """A source as the file object that library readers want."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._place = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._place = offset + (0, self._place, self._source.size)[whence]
        return self._place

    def tell(self) -> int:
        return self._place

    def read(self, size: int | None = -1) -> bytes:
        data = self._source.read(self._place, self._source.size if size is None or size < 0 else size)
        self._place += len(data)
        return data


def read_tar(walk: Walk, source: Source, name: str, depth: int) -> str:
    """Open every member of a tar archive as ``tarfile`` finds it; an old torch file has its own members."""
    names: set[str] = set()
    try:
        with tarfile.open(fileobj=_File(source), mode="r:") as archive:
            for member in archive:
                if not walk.admits(name):
                    break
                if member.name in _TORCH_MEMBERS and (member.islnk() or member.issym()):
                    walk.bound("tar.link", "a member that torch loads is a link to another", f"{name}/{member.name}")
                if not member.isreg() or member.size <= 0:
                    continue
                names.add(member.name)
                path = f"{name}/{member.name}" if name else member.name
                content = source.window(member.offset_data, member.size)
                if member.issparse():
                    content = _filled(walk, archive, member, path)
                _read_tar_member(walk, content, member.name, path, depth)
            if source.read(archive.offset, _TAR_RECORD).strip(b"\0"):
                walk.bound("tar.damaged", "what follows its last member is no member and not empty", name)
    except _TAR_FAULTS as error:
        walk.bound("tar.damaged", f"the archive cannot be read to its end: {error}", name)
    return "torch_tar" if {"pickle", "storages"} <= names else "tar"


def _filled(walk: Walk, archive: tarfile.TarFile, member: tarfile.TarInfo, path: str) -> Source:
    """The content of a member that is stored without its holes."""
    left = min(walk.limits.max_inflated_bytes, walk.limits.max_total_inflated_bytes - walk.inflated)
    if member.size > left:
        walk.bound("limit.inflated", "its holes would pass a limit on size", path)
    file = archive.extractfile(member)
    data = file.read(max(min(member.size, left), 0)) if file is not None else b""
    walk.inflated += len(data)
    return Source(data)


def _read_tar_member(walk: Walk, content: Source, member: str, path: str, depth: int) -> None:
    if member in ("storages", "tensors") and _read_tensors(walk, content, path, depth):
        return
    walk.open(content, path, depth + 1)


def _read_tensors(walk: Walk, content: Source, path: str, depth: int) -> bool:
    """The pickles of torch's first format, each followed by what it describes; False where it begins with none.

    ``storages``: a count, then for each storage (key, location, type) and the raw storage, then the views.
    ``tensors``: a count, then for each tensor (key, storage, type) and its dimensions, sizes, strides and offset.
    """
    data = content.prefix(content.size)
    place = 0
    while place < len(data):
        found = walk.trace(data, place)
        if not is_candidate(data, found, claimed=not place):
            return place > 0
        walk.stream(f"{path}: stream at {place}", found, depth)
        if not found.stopped:
            return True
        place = found.end
        kind = found.result[-1] if isinstance(found.result, tuple) and found.result else None
        if isinstance(kind, Global) and kind.name.endswith("Storage"):
            size = torch.item_size(kind)
            if size is None:
                walk.bound("torch.unknown-storage", f"the length of a {kind.name} cannot be told", path, place)
                return True
            place += 8 + max(0, int.from_bytes(data[place : place + 8], "little", signed=True)) * size
        elif isinstance(kind, Global) and kind.name.endswith("Tensor"):
            sides = max(0, int.from_bytes(data[place : place + 4], "little", signed=True))
            place += 8 + 16 * sides + 8
    return True


def read_7z(walk: Walk, source: Source, name: str, depth: int) -> str:
    """Open every member of a 7z archive, with py7zr where it is installed."""
    try:
        library: Any = importlib.import_module("py7zr")
    except ImportError:
        walk.bound("archive.library-missing", f"reading a 7z archive needs py7zr: install {EXTRA}", name)
        return "7z"
    left = min(walk.limits.max_inflated_bytes, walk.limits.max_total_inflated_bytes - walk.inflated)
    try:
        with library.SevenZipFile(_File(source), "r") as archive:
            members = archive.list()
            if not all(walk.admits(name) for _ in members):
                return "7z"
            if sum(member.uncompressed or 0 for member in members) > left:
                walk.bound("limit.inflated", "decompressing it would pass a limit on size", name)
                return "7z"
            factory = library.io.BytesIOFactory(left)
            archive.extractall(factory=factory)  # noqa: S202  into memory, not onto a disk
    except Exception as error:  # noqa: BLE001  py7zr raises what its many codecs raise
        walk.bound("7z.damaged", f"the archive cannot be read: {type(error).__name__}", name)
        return "7z"
    for member, product in factory.products.items():
        product.seek(0)
        data = product.read()
        walk.inflated += len(data)
        walk.open(Source(data), f"{name}/{member}" if name else member, depth + 1)
    return "7z"
