"""The arrays that joblib writes between the opcodes of a pickle.

After BUILD of a ``NumpyArrayWrapper`` joblib reads, from the same file, an object array as a pickle of its own, any
other as one byte (the length of the padding, where the wrapper has an alignment), the padding and the items.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from picklegate.containers.context import Context
from picklegate.containers.detect import is_importable
from picklegate.containers.dtypes import item_size, items
from picklegate.containers.source import Buffer
from picklegate.containers.sparse import AT_ONCE, Sparse
from picklegate.pickles import Event, Global, Trace
from picklegate.pickles.recorder import Inline

_MODULES = ("numpy_pickle", "numpy_pickle_compat")
_STACK_GLOBAL = 0x93
_BITS = re.compile(r"[1-9][0-9]?")
_HAS_OBJECT = 1
"""numpy's NPY_ITEM_REFCOUNT among a type's flags."""


@dataclass(frozen=True, slots=True)
class _Read:
    """An array as it was read, on what its type seemed to be."""

    dtype: Event
    size: int
    offset: int


class Arrays:
    """The raw and the nested arrays of one buffer."""

    def __init__(self, context: Context, data: Buffer, sparse: Sparse | None = None) -> None:
        """Begin with no array seen; ``sparse`` is where ``data`` comes from if not all of it is there."""
        self._context = context
        self.nested: dict[int, Trace] = {}
        self.used = False
        self._data = data
        self._reads: list[_Read] = []
        self._unknown: list[int] = []
        self._siblings: list[str] = []
        self._sparse = sparse
        self.skipped: dict[int, int] = {}

    @property
    def hooks(self) -> Mapping[tuple[str, str], Inline]:
        """What ``trace`` wants as ``inline``; kept here it would keep the file mapped until the next collection."""
        return _Hooks(self)

    def array(self, attributes: dict[str, Any], offset: int) -> int:
        """Skip, or trace, the array of a NumpyArrayWrapper; the offset at which opcodes go on."""
        self.used = True
        if self._sparse:
            self._sparse.fetch(offset, offset + AT_ONCE)
        dtype = attributes.get("dtype")
        count = items(tuple(map(_side, _sides(attributes.get("shape")))))
        size = _declared_size(dtype)
        if count is None or size is None or not isinstance(dtype, Event):
            self._unknown.append(offset)
            return len(self._data)
        if size >= 0 and _is_record(dtype) and self._data[offset : offset + 1] == b"\x80":
            # Records: whether they hold objects stands in a state that comes apart from the wrapper.
            size = -1 if self._context.trace(self._data, offset).stopped else size
        self._reads.append(_Read(dtype, size, offset))
        if size < 0:
            seen = self._context.trace(self._data, offset)
            self.nested[offset] = seen
            return seen.end if seen.stopped else len(self._data)
        if attributes.get("numpy_array_alignment_bytes") is not None:
            padding = self._data[offset : offset + 1]
            offset += 1 + (padding[0] if padding else 0)
        end = offset + size * count
        if self._sparse and end < len(self._data):
            self._sparse.skip(offset, end)
            self.skipped[offset] = end
        return end

    def sibling(self, attributes: dict[str, Any], offset: int) -> int:
        """Note the file beside this one in which an old wrapper keeps its array."""
        self.used = True
        self._siblings.append(str(attributes.get("filename")))
        return offset

    def judge(self, name: str, traces: list[Trace]) -> None:
        """Report what was not read, and where the types were other than the wrappers said."""
        context = self._context
        for offset in self._unknown:
            context.bound(
                "joblib.unknown-array", "the length of an array between the opcodes is not known", name, offset
            )
        states: dict[int, list[tuple[Any, ...]]] = {}
        for event in (event for seen in traces if self._reads for event in seen.events if event.kind == "state"):
            states.setdefault(id(event.callee), []).append(event.args)
        for one in {(id(one.dtype), one.size): one for one in self._reads}.values():
            if not all(_agrees(args, one.size) for args in states.get(id(one.dtype), ())):
                context.bound(
                    "joblib.ambiguous-type", "an array's type is given another size or kind", name, one.offset
                )
        if self._siblings:
            shown = ", ".join(self._siblings[:3])
            message = f"it loads arrays from files beside it, which must be scanned too: {shown}"
            if any("/" in part or "\\" in part for part in self._siblings):
                context.odd("joblib.sibling-elsewhere", f"it loads arrays from another directory: {shown}", name)
            context.note("joblib.sibling-files", message, name)

    def plain(self, traces: list[Trace]) -> list[Trace]:
        """The streams as ``pickle.load`` reads them, arrays being opcodes to it, where it would do something else."""
        if not self.used:
            return []
        known = {key for seen in (*traces, *self.nested.values()) for key in _deeds(seen)}
        again = [up_to_refusal(self._context.trace(self._data, seen.start)) for seen in traces]
        return [seen for seen in again if not known.issuperset(_deeds(seen))]


_LITERALS = (tuple, list, str, bytes, int, float, type(None))
"""Types of abstract values, with those of dict and set, that stand for what cannot be called."""


def up_to_refusal(seen: Trace) -> Trace:
    """The trace up to where the unpickler is sure to raise: a call of a literal, or STACK_GLOBAL without a text.

    The memo of an array's own pickle begins again and that of the stream goes on, so that such is what becomes of it.
    """
    ends = [event.offset for event in seen.events if isinstance(event.callee, _LITERALS)]
    if seen.fault is not None and seen.fault.code == "stream.bad-argument":
        ends += [seen.fault.offset] if seen.data[seen.fault.offset] == _STACK_GLOBAL else []
    if not ends:
        return seen
    end = min(ends)
    return replace(
        seen,
        end=end,
        fault=None,
        notes=tuple(note for note in seen.notes if note.offset < end),
        imports=tuple(one for one in seen.imports if one.offset < end),
        events=tuple(event for event in seen.events if event.offset < end),
    )


class _Hooks(Mapping[tuple[str, str], Inline]):
    """The readers by class, in joblib and in every vendored copy of it."""

    def __init__(self, arrays: Arrays) -> None:
        self._readers = {
            "NumpyArrayWrapper": arrays.array,
            "NDArrayWrapper": arrays.sibling,
            "ZNDArrayWrapper": arrays.sibling,
        }

    def __getitem__(self, key: tuple[str, str]) -> Inline:
        module, name = key
        if module.rpartition(".")[2] not in _MODULES:
            raise KeyError(key)
        return self._readers[name]

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return (("joblib.numpy_pickle", name) for name in self._readers)

    def __len__(self) -> int:
        return len(self._readers)


def _deeds(seen: Trace) -> Iterator[tuple[str, ...]]:
    """What a stream does that the items of an array, read as opcodes, do not do by chance."""
    yield from ((one.module, one.name) for one in seen.imports if is_importable(one))
    failed = {f"{one.module}.{one.name}" for one in seen.imports if "\0" in one.module}
    for event in seen.events:
        written = event.kind == "state" and not (event.args and isinstance(event.args[0], (tuple, list)))
        if (
            not event.unresolved
            and event.name not in failed
            and not written
            and event.opcode not in ("APPENDS", "SETITEMS", "ADDITEMS")
        ):
            yield (event.kind, event.opcode, event.name)


def _sides(shape: Any) -> tuple[Any, ...]:
    return tuple(shape) if isinstance(shape, (tuple, list)) else (shape,)


def _side(value: Any) -> Any:
    """A side of a shape, which may be a numpy scalar."""
    if isinstance(value, Event) and value.name.endswith("multiarray.scalar") and len(value.args) == 2:
        raw = value.args[1]
        raw = raw.encode("latin-1", "replace") if isinstance(raw, str) else raw
        return int.from_bytes(raw, "little") if isinstance(raw, bytes) else None
    return value


def _declared_size(dtype: Any) -> int | None:
    """The item size of ``numpy.dtype("f8", ...)``; -1 for objects, None where it cannot be told."""
    if not isinstance(dtype, Event):
        return None
    if dtype.name.endswith("._internal._convert_to_stringdtype_kwargs"):
        return -1
    if dtype.name != "numpy.dtype" or not dtype.args:
        return None
    kind = dtype.args[0]
    if isinstance(kind, Global) and kind.module == "ml_dtypes":
        return _small_float_size(kind.name)
    return item_size(kind) if isinstance(kind, str) else None


def _small_float_size(name: str) -> int | None:
    """The item size of a type of ml_dtypes, by the bits in its name; a state that says another is ambiguous."""
    bits = _BITS.search(name)
    return max(1, int(bits[0]) // 8) if bits else None


def _is_record(dtype: Event) -> bool:
    return isinstance(dtype.args[0], str) and dtype.args[0].lstrip("<>=|")[:1] == "V"


def _agrees(args: tuple[Any, ...], size: int) -> bool:
    """Whether the state of a type leaves its size and kind: (version, order, base, names, fields, size, ..., flags)."""
    state = args[0] if args else None
    if not isinstance(state, tuple) or len(state) < 6 or not isinstance(state[5], int):
        return False
    flags = state[7] if len(state) > 7 else 0
    if not isinstance(flags, int) or bool(flags & _HAS_OBJECT) != (size < 0):
        return False
    return size < 0 or state[5] in (-1, size)
