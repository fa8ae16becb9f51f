"""Files -> the traced object and where each storage lies: torch's zip and legacy forms, npy, npz, pickles."""

from __future__ import annotations

import ast
import bz2
import gzip
import io
import lzma
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from math import prod
from typing import Any, BinaryIO

from picklegate.containers.detect import is_tar
from picklegate.containers.torch import LEGACY, is_magic, item_size
from picklegate.convert.dtypes import SIZES, of_numpy
from picklegate.convert.joblib_arrays import InlineArrays
from picklegate.convert.objects import Found, MalformedTensorError, Strided, find, strided_array
from picklegate.convert.strides import extent
from picklegate.convert.tar_checkpoints import TarCheckpoint
from picklegate.limits import DEFAULT
from picklegate.pickles import Trace, trace

_MOST_PICKLE = 1 << 30


class _Zlib(io.RawIOBase):
    """The decompressed bytes of a zlib stream."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._engine = zlib.decompressobj()

    def read(self, size: int = -1) -> bytes:
        data = b""
        while not data and not self._engine.eof:
            fed = self._engine.unconsumed_tail or self._file.read(1 << 16)
            if not fed:
                break
            data = self._engine.decompress(fed, size if size > 0 else 1 << 20)
        return data


_COMPRESSED: tuple[tuple[bytes, Callable[[BinaryIO], Any]], ...] = (
    (b"\x1f\x8b", gzip.open),
    (b"BZh", bz2.open),
    (b"\xfd7zXZ", lzma.open),
    (b"\x5d\x00\x00", lzma.open),
    *((bytes((0x78, level)), _Zlib) for level in (0x01, 0x5E, 0x9C, 0xDA)),
)
"""Magic -> what opens it, as joblib tells its compressions."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Record:
    """Where a storage lies: ``size`` bytes at ``offset`` of the file, or of what ``open`` decompresses."""

    offset: int
    size: int
    open: Callable[[], BinaryIO] | None = None


@dataclass(kw_only=True, slots=True)
class Checkpoint:
    """What a file holds, and the record of each storage by its key; ``file`` is where they lie."""

    file: BinaryIO
    found: Found
    records: dict[str, Record] = field(default_factory=dict)


@contextmanager
def opened(file: BinaryIO, key: str) -> Iterator[Checkpoint]:
    """The checkpoint in a seekable file; raises ValueError for one that is none."""
    head = file.read(512)
    file.seek(0)
    decompress = next((opener for magic, opener in _COMPRESSED if head.startswith(magic)), None)
    if decompress is not None:
        # joblib compresses the whole pickle, arrays and all.
        with tempfile.TemporaryFile() as plain, decompress(file) as packed:
            _spool(packed, plain)
            yield _pickles(plain, key)
    elif head.startswith(b"PK"):
        with zipfile.ZipFile(file) as archive:
            yield _zip(file, archive, key)
    elif is_tar(head):
        yield _tar(file, key)
    elif head.startswith(b"\x93NUMPY"):
        found = Found()
        record = _npy(file, 0, file.seek(0, io.SEEK_END), "array", found)
        yield Checkpoint(file=file, found=found, records={"array": record} if record else {})
    else:
        yield _pickles(file, key)


def _spool(packed: Any, plain: Any) -> None:
    left = _MOST_PICKLE
    while part := packed.read(1 << 20):
        left -= plain.write(part)
        if left < 0:
            raise ValueError("it decompresses to more than 1 GiB")


def _zip(file: BinaryIO, archive: zipfile.ZipFile, key: str) -> Checkpoint:
    names = [info.filename for info in archive.infolist()]
    if len(set(names)) != len(names):
        raise ValueError("two members of the archive have one name")
    objects = [name for name in names if name.rpartition("/")[2].lower() == "data.pkl"]
    if not objects and names and all(name.endswith(".npy") for name in names):
        return _npz(file, archive)
    if len(objects) != 1:
        raise ValueError(f"the archive holds {len(objects)} objects named data.pkl where torch writes one")
    info = archive.getinfo(objects[0])
    if info.file_size > _MOST_PICKLE:
        raise ValueError("the pickle is longer than 1 GiB")
    root = objects[0][: -len("data.pkl")]
    if f"{root}byteorder" in names and archive.read(f"{root}byteorder") not in (b"little", b""):
        raise ValueError("the storages are in big-endian order")
    traced = _traced(archive.read(info))
    records = {}
    prefix = f"{root}data/"
    for one in archive.infolist():
        if one.filename.startswith(prefix):
            records[one.filename[len(prefix) :]] = _record(file, archive, one)
    return Checkpoint(file=file, found=find(traced, key), records=records)


def _record(file: BinaryIO, archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Record:
    """Where a member's bytes lie."""
    if info.compress_type != zipfile.ZIP_STORED:
        return Record(offset=0, size=info.file_size, open=lambda: archive.open(info))  # type: ignore[arg-type,return-value]
    file.seek(info.header_offset)
    header = file.read(30)
    if len(header) < 30 or header[:4] != b"PK\3\4":
        raise ValueError(f"{info.filename} has no header where the directory says")
    name, extra = struct.unpack_from("<HH", header, 26)
    return Record(offset=info.header_offset + 30 + name + extra, size=info.file_size)


def _tar(file: BinaryIO, key: str) -> Checkpoint:
    """A tar file of torch: its storages are put one after another into a file of their own."""
    read = TarCheckpoint(file)
    storages, records, place = io.BytesIO(), {}, 0
    for name, data in read.storages.items():
        storages.write(data)
        records[name] = Record(offset=place, size=len(data))
        place += len(data)
    traced = _traced(read.pickle)
    return Checkpoint(file=storages, found=find(traced, key, tensors=read.tensors), records=records)


def _npz(file: BinaryIO, archive: zipfile.ZipFile) -> Checkpoint:
    found, records = Found(), {}
    for info in archive.infolist():
        name = info.filename.removesuffix(".npy")
        with archive.open(info) as member:
            start, kind, shape, fortran = _npy_header(member)
        tensor = _npy_tensor(found, name, kind, shape, fortran=fortran)
        if tensor is not None:
            whole = _record(file, archive, info)
            if whole.open is None:
                records[name] = Record(offset=whole.offset + start, size=whole.size - start)
            else:
                records[name] = Record(offset=start, size=whole.size - start, open=whole.open)
    return Checkpoint(file=file, found=found, records=records)


def _npy(file: BinaryIO, begin: int, end: int, name: str, found: Found) -> Record | None:
    file.seek(begin)
    start, kind, shape, fortran = _npy_header(file)
    if _npy_tensor(found, name, kind, shape, fortran=fortran) is None:
        return None
    return Record(offset=begin + start, size=end - begin - start)


def _npy_header(file: Any) -> tuple[int, str, tuple[int, ...], bool]:
    """(bytes of the header, type code, shape, Fortran order) of an npy file."""
    head = file.read(12)
    if head[:6] != b"\x93NUMPY" or len(head) < 12:
        raise ValueError("the array has no header of numpy")
    wide = head[6] >= 2
    length = struct.unpack_from("<I" if wide else "<H", head, 8)[0]
    if length > 1 << 20:
        raise ValueError("the header of an array is longer than numpy writes")
    rest = (head[10:12] if not wide else b"") + file.read(length - (0 if wide else 2))
    header = ast.literal_eval(rest.decode("latin-1").strip())
    if not isinstance(header, dict):
        raise ValueError("the header of an array is not a dict")  # noqa: TRY004 (it is malformed bytes)
    shape, code = header.get("shape"), header.get("descr")
    if not (isinstance(shape, tuple) and all(type(side) is int and side >= 0 for side in shape)):
        raise ValueError("the header of an array names no shape")
    return (
        (12 if wide else 10) + length,
        code if isinstance(code, str) else "",
        shape,
        bool(header.get("fortran_order")),
    )


def _npy_tensor(found: Found, name: str, code: str, shape: tuple[int, ...], *, fortran: bool) -> Strided | None:
    kind = of_numpy(code)
    if kind is None:
        found.leave(name, f"an array of {code or 'fields'}", "safetensors has no such type of elements")
        return None
    tensor = strided_array(name, kind, shape, None, fortran=fortran, key=name)
    found.tensors.append(tensor)
    return tensor


def _pickles(file: BinaryIO, key: str) -> Checkpoint:
    size = file.seek(0, io.SEEK_END)
    file.seek(0)
    data = file.read(min(size, _MOST_PICKLE))
    arrays = InlineArrays(data)
    first = _traced(data, arrays=arrays)
    if not is_magic(data, first):
        found = find(first, key, arrays.by_wrapper(first))
        offsets = {one.key: int(one.key[1:]) for one in found.tensors if one.key}
        return Checkpoint(
            file=file, found=found, records={name: Record(offset=at, size=size - at) for name, at in offsets.items()}
        )
    traces = [first]
    while len(traces) < len(LEGACY):
        traces.append(_traced(data, traces[-1].end))
    objects, keys = traces[3], traces[4]
    order = [item[1] for item in find(keys).data.items()]
    found = find(objects)
    sizes = {name: _element(storage) for name, storage in found.storages.items()}
    records, place = {}, keys.end
    for name in order:
        file.seek(place)
        head = file.read(8)
        if len(head) < 8 or name not in sizes:
            raise ValueError(f"the length of the storage {name!r} is not known")
        length = struct.unpack("<q", head)[0] * sizes[name]
        if length < 0 or place + 8 + length > size:
            raise ValueError(f"the storage {name!r} ends behind the file")
        records[name] = Record(offset=place + 8, size=length)
        place += 8 + length
    return Checkpoint(file=file, found=find(objects, key) if key else found, records=records)


def _element(storage: Any) -> int:
    size = item_size(storage)
    if size is None:
        raise ValueError("a storage has an unknown type")
    return size


def _traced(data: bytes, start: int = 0, arrays: InlineArrays | None = None) -> Trace:
    """The trace of a pickle, all of its result kept; raises ValueError for one that no loader would read to its end."""
    traced = trace(data, start, limits=DEFAULT, inline=arrays, whole=True)
    if traced.fault is not None:
        raise ValueError(f"the pickle cannot be read: {traced.fault.message}")
    return traced


def check(tensor: Strided, record: Record | None) -> None:
    """Raise MalformedTensorError where the tensor reaches outside what its record holds."""
    if tensor.raw is not None:
        room = len(tensor.raw)
    elif record is None:
        raise MalformedTensorError(f"{tensor.name}: the file does not hold its storage {tensor.key!r}")
    else:
        room = record.size
    reach = extent(tensor.shape, tensor.stride)
    if reach and (tensor.offset + reach) * SIZES[tensor.dtype] > room:
        raise MalformedTensorError(f"{tensor.name}: it reaches outside its storage")
    if tensor.raw is not None and prod(tensor.shape) * SIZES[tensor.dtype] != room:
        raise MalformedTensorError(f"{tensor.name}: its bytes are not those of its shape")
