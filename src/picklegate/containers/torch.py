"""What torch.save writes around its pickles: zip archives, the five pickles of old, and tar before that."""

from __future__ import annotations

import re
import struct

from picklegate.containers.source import Buffer, Source
from picklegate.pickles import Global, Trace
from picklegate.pickles.opcodes import literal

LEGACY = ("magic number", "protocol", "sys_info", "object", "storage keys")
"""The five pickles of a file without a zip, in their order; the raw storages follow."""

_MAGIC = 0x1950A86A20F9469CFC6C
_MAGIC_BYTES = b"\x8a\x0a" + _MAGIC.to_bytes(10, "little") + b"."
_BEHIND_HEADER = (2, 11)
"""Where the magic number stands in its pickle: behind the protocol, or behind a frame as well."""
_STEPS = 200_000
_SIZES = {
    "DoubleStorage": 8, "FloatStorage": 4, "HalfStorage": 2, "LongStorage": 8, "IntStorage": 4, "ShortStorage": 2,
    "CharStorage": 1, "ByteStorage": 1, "BoolStorage": 1, "BFloat16Storage": 2, "ComplexDoubleStorage": 16,
    "ComplexFloatStorage": 8, "QUInt8Storage": 1, "QInt8Storage": 1, "QInt32Storage": 4, "QUInt4x2Storage": 1,
    "QUInt2x4Storage": 1, "UntypedStorage": 1,
}  # fmt: skip
"""Bytes of one element, by the name of the storage class."""

_OBJECT = re.compile(r"(?:.*/)?(?:data|constants)\.pkl", re.IGNORECASE | re.DOTALL)
_RECORD = re.compile(
    r"(?:data|constants)/[0-9]+|\.?version|byteorder|\.format_version|\.storage_alignment|\.data/serialization_id",
    re.IGNORECASE,
)
_SCRIPT = re.compile(r"(?:[^/]*/)?(?:code/.*|constants\.pkl)", re.IGNORECASE | re.DOTALL)


def is_magic(data: Buffer, found: Trace) -> bool:
    """Whether a stream is the number that torch looks for at the start of a file without a zip."""
    return isinstance(found.result, float) and literal(data, int(found.result), 64) == _MAGIC


def item_size(storage: object) -> int | None:
    """Bytes of one element of a storage class that a stream names; None where it is not known."""
    return _SIZES.get(storage.name) if isinstance(storage, Global) else None


def after_storages(source: Source, objects: Trace, position: int) -> int:
    """Where the raw storages end that begin at ``position``: each is a count of elements, then the elements.

    Storages stand there without their type, so every type that ``objects`` refers to is tried until all lengths
    meet the end, or another file's magic number. Where none does, the rest of the file counts as storages.
    """
    sizes = {
        size
        for one in objects.persistent
        if isinstance(one.pid, tuple) and len(one.pid) > 1 and (size := item_size(one.pid[1])) is not None
    }
    if not sizes:
        return position
    if not source.resident:
        return source.size
    waiting, seen = [position], {position}
    while waiting and len(seen) < _STEPS:
        place = waiting.pop()
        head = source.read(place, 32)
        if not head or (head[0] == 0x80 and head.find(_MAGIC_BYTES) in _BEHIND_HEADER):
            return place
        if len(head) >= 8:
            (count,) = struct.unpack_from("<q", head)
            for size in sizes:
                end = place + 8 + count * size
                if place < end <= source.size and end not in seen:
                    seen.add(end)
                    waiting.append(end)
    return source.size


def is_object(name: str) -> bool:
    """Whether torch would look for an object under this name, in which it does not tell cases apart."""
    return _OBJECT.fullmatch(name) is not None


def roots(names: list[str]) -> frozenset[str]:
    """The directories of an archive in which torch would find an object to load, as ``"archive/"`` in lower case."""
    return frozenset(name[: name.rfind("/") + 1].lower() for name in names if is_object(name))


def is_record(name: str, inside: frozenset[str]) -> bool:
    """Whether torch reads a member as raw numbers or a word, and never as a pickle."""
    cut = name.find("/") + 1
    return name[:cut].lower() in inside and _RECORD.fullmatch(name, cut) is not None


def zip_container(names: list[str], inside: frozenset[str]) -> str:
    """``"torch_zip"``, ``"torchscript_zip"``, or ``"zip"`` where torch would load nothing."""
    if not inside:
        return "zip"
    return "torchscript_zip" if any(_SCRIPT.fullmatch(name) for name in names) else "torch_zip"
