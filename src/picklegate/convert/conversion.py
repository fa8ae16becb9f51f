"""A checkpoint -> safetensors: reading, checking and writing, tensor by tensor."""

from __future__ import annotations

import errno
import lzma
import mmap
import os
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, BinaryIO

import picklegate
from picklegate.convert.checkpoints import Checkpoint, Record, check, opened
from picklegate.convert.dtypes import SIZES
from picklegate.convert.objects import Strided
from picklegate.convert.report import ConversionReport, Tensor
from picklegate.convert.safetensors import Entry, write
from picklegate.convert.strides import CHUNK, contiguous, gathered
from picklegate.errors import GateError
from picklegate.scan import open_regular, sha256_of

_MALFORMED = (
    *(ValueError, IndexError, TypeError, SyntaxError, RecursionError, EOFError, NotImplementedError, OverflowError),
    *(struct.error, zlib.error, zipfile.BadZipFile, lzma.LZMAError),
)
"""What reading malformed bytes may raise."""


class ConversionError(GateError):
    """The file is no checkpoint whose tensors can be had; the message says why. Nothing was written."""


def convert_file(path: str | os.PathLike[str], target: str | os.PathLike[str], *, key: str = "") -> ConversionReport:
    """Write the tensors of a checkpoint as safetensors, without running anything of it.

    Reads torch's zip, legacy and tar files, npy, npz, joblib files and pickles of numpy arrays. ``key`` is the dotted
    name of the part to take, such as ``"state_dict"``. Raises ConversionError, and OSError for a path that cannot be
    read or written.
    """
    with open_regular(path) as file:
        return convert_stream(file, Path(target), name=os.fspath(path), key=key)


def convert_stream(file: BinaryIO, target: Path, *, name: str, key: str = "", digest: bool = True) -> ConversionReport:
    """The same for a seekable binary file; without ``digest`` its bytes are read only where they are needed."""
    sha256 = sha256_of(file) if digest else ""
    try:
        with opened(file, key) as checkpoint, ExitStack() as stack:
            tensors = checkpoint.found.tensors
            if not tensors:
                raise ConversionError(f"{name} holds no tensors" + (f" under {key!r}" if key else ""))
            for tensor in tensors:
                check(tensor, checkpoint.records.get(tensor.key))
            storages = _Storages(checkpoint, stack)
            metadata = {"format": "pt", "source": os.path.basename(name), "picklegate": picklegate.__version__}
            metadata |= {"source_sha256": sha256} if sha256 else {}
            write(target, [_entry(storages, tensor) for tensor in tensors], metadata)
            return ConversionReport(
                source=name,
                target=str(target),
                sha256=sha256,
                tensors=tuple(_told(tensors)),
                left_out=tuple(checkpoint.found.left_out),
                data=checkpoint.found.data,
            )
    except KeyError as error:
        raise ConversionError(f"{name} has no {error.args[0]!r} where the key {key!r} looks for it") from error
    except _MALFORMED as error:
        raise ConversionError(f"{name} cannot be converted: {error}") from error
    except OSError as error:
        # gzip and bz2 raise it without a number for bytes that they refuse, and a seek to a malformed offset is EINVAL.
        if error.errno not in (None, errno.EINVAL):
            raise
        raise ConversionError(f"{name} cannot be converted: {error}") from error


class _Storages:
    """The bytes of storages: read in pieces where a tensor is contiguous, mapped where it is not."""

    def __init__(self, checkpoint: Checkpoint, stack: ExitStack) -> None:
        self._file = checkpoint.file
        self._records = checkpoint.records
        self._stack = stack
        self._unpacked: dict[str, tuple[Any, Record]] = {}

    def pieces(self, tensor: Strided) -> Iterator[bytes]:
        """The bytes of a tensor in the order of its shape."""
        size = SIZES[tensor.dtype]
        parts = self._raw(tensor, size)
        if not tensor.swapped:
            return parts
        width = size // 2 if tensor.dtype == "C64" else size
        return (_swapped(part, width) for part in parts)

    def _raw(self, tensor: Strided, size: int) -> Iterator[bytes]:
        if 0 in tensor.shape:
            return iter(())
        if tensor.raw is not None:
            return gathered(tensor.raw, size, tensor.offset, tensor.shape, tensor.stride)
        file, record = self._where(tensor.key)
        if contiguous(tensor.shape, tensor.stride):
            length = size
            for side in tensor.shape:
                length *= side
            return _read(file, record.offset + tensor.offset * size, length)
        return self._strided(file, record, tensor, size)

    def _strided(self, file: BinaryIO, record: Record, tensor: Strided, size: int) -> Iterator[bytes]:
        with tempfile.TemporaryFile() as copy:
            # A copy of the one storage: aligned for the elements, and safe from a file that shrinks meanwhile.
            for part in _read(file, record.offset, record.size):
                copy.write(part)
            copy.flush()
            with mmap.mmap(copy.fileno(), 0, access=mmap.ACCESS_READ) as view:
                yield from gathered(view, size, tensor.offset, tensor.shape, tensor.stride)

    def _where(self, key: str) -> tuple[BinaryIO, Record]:
        record = self._records[key]
        if record.open is None:
            return self._file, record
        if key not in self._unpacked:
            spool = self._stack.enter_context(tempfile.TemporaryFile())  # noqa: SIM115 (the stack closes it)
            left = record.offset + record.size
            with record.open() as member:
                while part := member.read(CHUNK):
                    left -= spool.write(part)
                    if left < 0:
                        raise ValueError("a member is longer than the directory of the archive says")
            self._unpacked[key] = spool, Record(offset=record.offset, size=record.size)
        return self._unpacked[key]


def _read(file: BinaryIO, offset: int, length: int) -> Iterator[bytes]:
    """The bytes of a file from ``offset`` on, in pieces; raises ValueError where it ends before."""
    while length:
        file.seek(offset)
        part = file.read(min(CHUNK, length))
        if not part:
            raise ValueError("the file ends inside a storage")
        offset, length = offset + len(part), length - len(part)
        yield part


def _swapped(data: bytes, width: int) -> bytes:
    out = bytearray(len(data))
    for place in range(width):
        out[place::width] = data[width - 1 - place :: width]
    return bytes(out)


def _entry(storages: _Storages, tensor: Strided) -> Entry:
    return Entry(name=tensor.name, dtype=tensor.dtype, shape=tensor.shape, pieces=lambda: storages.pieces(tensor))


def _told(tensors: list[Strided]) -> Iterator[Tensor]:
    first: dict[str, str] = {}
    for tensor in tensors:
        holder = first.setdefault(tensor.key, tensor.name) if tensor.raw is None else tensor.name
        shared = "" if holder == tensor.name else holder
        yield Tensor(name=tensor.name, dtype=tensor.dtype, shape=tensor.shape, shared_with=shared)
