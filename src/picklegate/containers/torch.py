"""What torch.save writes around its pickles: zip archives, the five pickles of old, and tar before that."""

from __future__ import annotations

import struct
from collections.abc import Iterable

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

_OBJECTS = (b"data.pkl", b"constants.pkl")
_WORDS = frozenset((
    b"version", b".version", b"byteorder", b".format_version", b".storage_alignment", b".data/serialization_id",
))  # fmt: skip
"""Members of a root that hold a word."""
_NUMBERED = (b"data", b"constants")


def is_magic(data: Buffer, seen: Trace) -> bool:
    """Whether a stream is the number that torch looks for at the start of a file without a zip."""
    return isinstance(seen.result, float) and literal(data, int(seen.result), 64) == _MAGIC


def item_size(storage: object) -> int | None:
    """Bytes of one element of a storage class that a stream names; None where it is not known."""
    return _SIZES.get(storage.name) if isinstance(storage, Global) else None


def after_storages(source: Source, objects: Trace, position: int) -> int:
    """Where the raw storages end that begin at ``position``: each is a count of elements, then the elements.

    Storages stand there without their type, so every type that ``objects`` refers to is tried until all lengths
    meet the end, or another file's magic number. Where none does, they end at the next magic number there is.
    """
    sizes = {
        size
        for one in objects.persistent
        if isinstance(one.pid, tuple) and len(one.pid) > 1 and (size := item_size(one.pid[1])) is not None
    }
    if not objects.persistent:
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
    return _next_file(source, position)


def _next_file(source: Source, position: int) -> int:
    """Where the next magic number's pickle begins; the end where there is none."""
    match = source.find(_MAGIC_BYTES, position) if source.resident else -1
    while match >= 0:
        for place in (match - back for back in _BEHIND_HEADER):
            if place >= position and source.read(place, 1) == b"\x80":
                return place
        match = source.find(_MAGIC_BYTES, match + 1)
    return source.size


def is_object(name: bytes) -> bool:
    """Whether torch would look for an object under this name, in which it does not tell ASCII cases apart."""
    return name[-14:].lower().rpartition(b"/")[2] in _OBJECTS


def roots(names: Iterable[bytes]) -> frozenset[bytes]:
    """The directories of an archive in which torch would find an object to load, as ``b"archive/"`` in lower case."""
    return frozenset(name[: name.rfind(b"/") + 1].lower() for name in names if is_object(name))


def is_record(name: bytes, inside: frozenset[bytes]) -> bool:
    """Whether torch reads a member as raw numbers or a word, and never as a pickle."""
    root, slash, label = name.lower().partition(b"/")
    if root + slash not in inside:
        return False
    folder, _, number = label.rpartition(b"/")
    return (number.isdigit() and folder in _NUMBERED) or label in _WORDS


def zip_container(names: Iterable[bytes]) -> str:
    """What an archive in which torch finds an object is, by its members that are no records."""
    for name in names:
        root, _, rest = name.lower().partition(b"/")
        if root == b"code" or rest.startswith(b"code/") or b"constants.pkl" in (root, rest):
            return "torchscript_zip"
    return "torch_zip"
