"""Torch's tar files of 2016: members ``storages``, ``tensors``, ``pickle`` (torch/serialization.py, _legacy_load)."""

from __future__ import annotations

import struct
import tarfile
from collections.abc import Mapping
from typing import Any, BinaryIO

from picklegate.containers.torch import item_size
from picklegate.convert.dtypes import STORAGES
from picklegate.convert.objects import MalformedTensorError, Strided, checked
from picklegate.pickles import Global, Trace, trace
from picklegate.pickles.opcodes import literal

_MOST = 1 << 30
"""Bytes of a member that are read."""
_MOST_TENSORS = 1_000_000


class TarCheckpoint:
    """The tensors of a tar file by their numbers, and the bytes of each storage by its key."""

    def __init__(self, file: BinaryIO) -> None:
        """Raises ValueError for a tar file that is none of torch's."""
        self.storages: dict[str, bytes] = {}
        self._dtypes: dict[str, tuple[str | None, int]] = {}
        try:
            with tarfile.open(fileobj=file, mode="r:") as archive:
                parts = {name: _member(archive, name) for name in ("storages", "tensors", "pickle")}
        except (tarfile.TarError, KeyError, EOFError) as error:
            raise ValueError(f"the tar file is none of torch's: {error}") from error
        self.pickle = parts["pickle"]
        self._read_storages(parts["storages"])
        self.tensors = self._read_tensors(parts["tensors"])

    def _read_storages(self, data: bytes) -> None:
        place, count = _number(data, 0)
        for _ in range(min(count, _MOST_TENSORS)):
            read = trace(data, place, whole=True)
            key, _, kind = _three(read)
            size = item_size(kind)
            if size is None or not isinstance(kind, Global):
                raise ValueError("a storage has an unknown type")
            (length,) = struct.unpack_from("<q", data, read.end)
            begin, end = read.end + 8, read.end + 8 + length * size
            if length < 0 or end > len(data):
                raise ValueError(f"the storage {key!r} ends behind its member")
            self.storages[key] = data[begin:end]
            self._dtypes[key] = STORAGES.get(kind.name), size
            place = end
        for target, root, offset, length in _views(data, place):
            if root not in self._dtypes or min(offset, length) < 0:
                raise ValueError(f"the storage {target!r} is a part of {root!r}, which the file does not hold")
            dtype, size = self._dtypes[root]
            self.storages[target] = self.storages[root][offset * size : (offset + length) * size]
            self._dtypes[target] = dtype, size

    def _read_tensors(self, data: bytes) -> Mapping[str, Strided | None]:
        place, count = _number(data, 0)
        found: dict[str, Strided | None] = {}
        for _ in range(min(count, _MOST_TENSORS)):
            read = trace(data, place, whole=True)
            number, key, _ = _three(read)
            sides = struct.unpack_from("<i", data, read.end)[0]
            if not 0 <= sides <= 64 or key not in self._dtypes:
                raise MalformedTensorError(f"the tensor {number!r} has {sides} dimensions in the storage {key!r}")
            shape = struct.unpack_from(f"<{sides}q", data, read.end + 8)
            stride = struct.unpack_from(f"<{sides}q", data, read.end + 8 + 8 * sides)
            (offset,) = struct.unpack_from("<q", data, read.end + 8 + 16 * sides)
            place = read.end + 16 + 16 * sides
            dtype, size = self._dtypes[key]
            if min((0, offset, *shape, *stride)) < 0:
                raise MalformedTensorError(f"the tensor {number!r} has an offset, shape or stride below 0")
            limit = len(self.storages[key]) // size
            found[number] = dtype and checked(
                Strided(name=number, dtype=dtype, shape=shape, stride=stride, offset=offset, key=key, limit=limit)
            )  # type: ignore[assignment]
        return found


def _member(archive: tarfile.TarFile, name: str) -> bytes:
    member = archive.extractfile(name)
    data = member.read(_MOST + 1) if member is not None else b""
    if len(data) > _MOST:
        raise ValueError(f"the member {name} is longer than 1 GiB")
    return data


def _number(data: bytes, place: int) -> tuple[int, int]:
    """The end of the pickle at ``place``, and the number that it holds."""
    read = trace(data, place, whole=True)
    value = literal(data, int(read.result), 64) if isinstance(read.result, float) else None
    if type(value) is not int or value < 0:
        raise ValueError("a member of the tar file does not begin with a count")
    return read.end, value


def _three(read: Trace) -> tuple[str, str, Any]:
    """The items of a pickled triple: two numbers or texts, as text, and an object."""
    items = read.result
    if not isinstance(items, tuple) or len(items) != 3:
        raise ValueError("a member of the tar file holds another object than torch writes")
    return _text(read, items[0]), _text(read, items[1]), items[2]


def _text(read: Trace, value: Any) -> str:
    known = literal(read.data, int(value), 256) if type(value) in (int, float) else value
    return str(known)


def _views(data: bytes, place: int) -> list[tuple[str, str, int, int]]:
    """(target, root, offset, length) of the storages that are parts of others."""
    read = trace(data, place, whole=True)
    views = []
    for item in read.result if isinstance(read.result, list) else ():
        if isinstance(item, tuple) and len(item) == 4:
            target, root, offset, length = (_text(read, part) for part in item)
            views.append((target, root, int(offset), int(length)))
    return views
