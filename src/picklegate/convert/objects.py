"""The object of a traced pickle -> its tensors by name, its plain values, and the rest."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from math import prod
from typing import Any

from picklegate.convert.dtypes import STORAGES, TORCH, of_numpy
from picklegate.convert.joblib_arrays import InlineArray
from picklegate.convert.report import LeftOut
from picklegate.convert.strides import extent, overlapping
from picklegate.pickles import Dict, Event, Global, Persistent, Set, Trace
from picklegate.pickles.opcodes import literal
from picklegate.pickles.values import Known

_MOST_TEXT = 1 << 20
_MOST_DEEP = 200
_MOST_EXPANDED = 1 << 30
"""Bytes that a tensor of expanded dimensions (stride 0) may have beyond those of its storage."""
_MOST_LISTED = 1_000
_MODULE_PARTS = ("_parameters", "_buffers", "_modules")
"""Attributes of a ``torch.nn.Module`` that are no part of a name in its ``state_dict``."""
_DICTS = ("collections.OrderedDict", "builtins.dict")
_OTHER_TENSORS = {
    "_rebuild_qtensor": "safetensors has no quantised tensors",
    "_rebuild_sparse_tensor": "safetensors has no sparse tensors",
    "_rebuild_sparse_csr_tensor": "safetensors has no sparse tensors",
    "_rebuild_nested_tensor": "safetensors has no nested tensors",
    "_rebuild_meta_tensor_no_storage": "it has no data (device meta)",
    "_rebuild_device_tensor_from_numpy": "its data lies in another form in the pickle",
    "_rebuild_device_tensor_from_cpu_tensor": "its data lies in another form in the pickle",
    "_rebuild_wrapper_subclass": "it has no data of its own",
}


class MalformedTensorError(ValueError):
    """A tensor that would reach outside its storage, or whose parts make no sense."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Strided:
    """A tensor as elements of a storage: ``offset`` and ``stride`` in elements; ``key`` is the storage's.

    ``raw`` are the bytes themselves where the pickle holds them (numpy). ``limit`` is the storage's size in elements.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    stride: tuple[int, ...]
    offset: int
    key: str
    limit: int
    raw: bytes | None = None
    swapped: bool = False


@dataclass(slots=True)
class Found:
    """What an object holds."""

    tensors: list[Strided] = field(default_factory=list)
    data: dict[str, Any] = field(default_factory=dict)
    left_out: list[LeftOut] = field(default_factory=list)
    storages: dict[str, Any] = field(default_factory=dict)
    """The class of each storage by its key."""

    def leave(self, name: str, what: str, reason: str) -> None:
        """Note something that is left out, up to a bound."""
        if len(self.left_out) < _MOST_LISTED:
            self.left_out.append(LeftOut(name=name, what=what, reason=reason))


def find(
    trace: Trace,
    key: str = "",
    arrays: Mapping[int, InlineArray | None] | None = None,
    tensors: Mapping[str, Strided | None] | None = None,
) -> Found:
    """The tensors of the traced object, or of the part that the dotted ``key`` names; raises KeyError without it.

    ``arrays`` are those between the opcodes, by the identity of their wrappers; ``tensors`` those that the object
    refers to by a persistent id, None for one of a type that is left out.
    """
    walker = _Walker(trace, arrays or {}, tensors or {})
    value, resolved = trace.result, False
    for part in key.split(".") if key else ():
        value, resolved = walker.item(value, part, resolved=resolved)
    walker.walk(value, "", 0, resolved=resolved)
    for event in trace.events:
        dull = event.known == "collections.OrderedDict" and not any(event.args)
        if id(event) not in walker.seen and event.kind != "state" and not dull:
            what = f"{event.name}(...)"
            walker.found.leave("", what, "a call that loading would run; it was not run")
    return walker.found


class _Walker:
    """Walks values of a trace: in its result a literal is an offset, in what events were given it is resolved."""

    def __init__(
        self, trace: Trace, arrays: Mapping[int, InlineArray | None], tensors: Mapping[str, Strided | None]
    ) -> None:
        self.found = Found()
        self._tensors = tensors
        self._arrays = arrays
        self.seen: set[int] = set()
        self._data = trace.data
        self._names: set[str] = set()
        self._states = {id(event): state for event, state in trace.states}

    def value(self, value: Any, *, resolved: bool) -> tuple[Any, bool]:
        """The Python value of a literal; anything else as it is, with whether what it holds is resolved."""
        if type(value) is Known:
            return value.value, True
        if not resolved and type(value) in (int, float):
            return literal(self._data, int(value), _MOST_TEXT), True
        return value, resolved

    def resolved(self, state: Any) -> Any:
        """A state that is a tuple, with the literals in it resolved."""
        if type(state) is not tuple:
            return None
        return tuple(
            tuple(self.value(one, resolved=False)[0] for one in item)
            if type(item) is tuple
            else self.value(item, resolved=False)[0]
            for item in state
        )

    def item(self, value: Any, part: str, *, resolved: bool) -> tuple[Any, bool]:
        """The item of a dict of that name; raises KeyError."""
        value, resolved = self.value(value, resolved=resolved)
        for name, item in self.items(value, resolved=resolved):
            if name == part:
                return item, resolved
        raise KeyError(part)

    def items(self, value: Any, *, resolved: bool) -> Iterator[tuple[str, Any]]:
        """The items of a container with their names; the last one of a key that is set twice."""
        if type(value) is Dict:
            named = {}
            for key, item in zip(value[::2], value[1::2], strict=False):
                known = self.value(key, resolved=resolved)[0]
                named[str(known) if type(known) in (str, int) else f"<{type(known).__name__}>"] = item
            yield from named.items()
        else:
            yield from ((str(index), item) for index, item in enumerate(value))

    def walk(self, value: Any, name: str, depth: int, *, resolved: bool) -> None:
        """Note all that a value holds, by names joined with dots."""
        value, resolved = self.value(value, resolved=resolved)
        if depth > _MOST_DEEP:
            self.found.leave(name, "a container", "it is nested too deep")
        elif type(value) in (Dict, list, tuple):
            if id(value) in self.seen:
                self.found.leave(name, "a container", "it stands elsewhere already")
                return
            if value:
                self.seen.add(id(value))
            for part, item in self.items(value, resolved=resolved):
                self.walk(item, f"{name}.{part}" if name else part, depth + 1, resolved=resolved)
        elif type(value) is Event:
            self.event(value, name, depth)
        elif type(value) is Persistent and str(value.pid) in self._tensors:
            tensor = self._tensors[str(value.pid)]
            if tensor is None:
                self.found.leave(name, "a tensor", "safetensors has no such type of elements")
            else:
                self.add(replace(tensor, name=name))
        elif isinstance(value, (bool, int, float, str, type(None))):
            self.found.data[name] = value
        elif isinstance(value, (bytes, bytearray)):
            self.found.leave(name, f"{len(value):,} bytes", "bytes are no tensor")
        else:
            self.found.leave(name, _described(value), "it is no tensor")

    def event(self, event: Event, name: str, depth: int) -> None:
        """Note a tensor, or look for tensors in the state of another object."""
        again = id(event) in self.seen
        self.seen.update((id(event), id(event.group)))
        self.note_storages(event.args)
        tensor = self.tensor(event, name)
        if tensor is not None:
            self.add(tensor)
            return
        pairs = event.args[0] if event.known in _DICTS and len(event.args) == 1 else None
        if isinstance(pairs, list) and all(isinstance(pair, (list, tuple)) and len(pair) == 2 for pair in pairs):
            # As Python 2 wrote them.
            self.walk(Dict(part for pair in pairs for part in pair), name, depth + 1, resolved=True)
            return
        if id(event) in self._arrays:
            if self._arrays[id(event)] is None:
                self.found.leave(name, "an array of objects", "safetensors has no such type of elements")
            return
        state = self._states.get(id(event))
        if state is None or again:
            if not any(one.name == name for one in self.found.left_out[-1:]):
                self.found.leave(name, f"{event.name}(...)", "an object; only tensors and plain values are taken")
            return
        self.found.leave(name, f"{event.name}(...)", "an object; only the tensors in its attributes are taken")
        for one in state if type(state) is tuple and len(state) == 2 else (state,):
            for part, item in self.items(one, resolved=False) if type(one) is Dict else ():
                module_part = part in _MODULE_PARTS and type(item) is Dict
                for inner, value in self.items(item, resolved=False) if module_part else ((part, item),):
                    # What a module holds has no name of its own in its state_dict, and what is missing no entry.
                    if not (module_part and value is None):
                        self.walk(value, f"{name}.{inner}" if name else inner, depth + 1, resolved=False)

    def note_storages(self, values: Any, depth: int = 0) -> None:
        """Note the class of each storage that an event is given, and that such events are seen."""
        for value in values if depth < _MOST_DEEP else ():
            if type(value) is Persistent:
                pid = value.pid
                if isinstance(pid, tuple) and len(pid) >= 5 and isinstance(pid[2], str):
                    self.found.storages[pid[2]] = pid[1]
            elif type(value) is Event and id(value) not in self.seen:
                self.seen.update((id(value), id(value.group)))
                self.note_storages(value.args, depth + 1)
            elif type(value) in (tuple, list):
                self.note_storages(value, depth + 1)

    def add(self, tensor: Strided) -> None:
        """Take a tensor whose name is free."""
        if tensor.name in self._names or tensor.name == "__metadata__":
            raise MalformedTensorError(f"two tensors, or one and the format itself, are named {tensor.name!r}")
        self._names.add(tensor.name)
        self.found.tensors.append(tensor)

    def tensor(self, event: Event, name: str) -> Strided | None:
        """The tensor that an event makes; None for another object, and for one that is left out."""
        known, args = event.known, event.args
        maker = known.rpartition(".")[2]
        if maker in _OTHER_TENSORS and known.startswith("torch."):
            self.found.leave(name, f"{event.name}(...)", _OTHER_TENSORS[maker])
            return None
        if known in ("torch._utils._rebuild_parameter", "torch._utils._rebuild_parameter_with_state") and args:
            return self.tensor(args[0], name) if type(args[0]) is Event else None
        if known == "torch._tensor._rebuild_from_type_v2" and len(args) >= 3 and isinstance(args[2], tuple):
            if isinstance(args[0], Global):
                return self.strided(args[0].known, args[2], name)
            return None
        inline = self._arrays.get(id(event))
        if inline is not None:
            kind = self.kind(inline.code, inline.dtype, name)
            key = f"@{inline.offset}"
            return kind and strided_array(name, kind, inline.shape, None, fortran=inline.fortran, key=key)
        if known.endswith("multiarray._reconstruct"):
            return self.array(self.resolved(self._states.get(id(event))), name)
        return self.strided(known, args, name)

    def strided(self, known: str, args: tuple[Any, ...], name: str) -> Strided | None:
        """The tensor of torch's ``_rebuild_tensor`` and its successors."""
        forms = {"torch._utils._rebuild_tensor": 4, "torch._utils._rebuild_tensor_v2": 6}
        least = 7 if known == "torch._utils._rebuild_tensor_v3" else forms.get(known, 0)
        if not least or len(args) < least:
            return None
        storage, offset, shape, stride = args[:4]
        pid = storage.pid if isinstance(storage, Persistent) else None
        if not (isinstance(pid, tuple) and len(pid) >= 5 and isinstance(pid[1], Global) and isinstance(pid[2], str)):
            raise MalformedTensorError(f"{name}: the storage is not one of torch's")
        dtype = STORAGES.get(pid[1].name)
        if least == 7:
            kind = args[6]
            dtype = TORCH.get(kind.name) if isinstance(kind, Global) else None
        flags = args[7 if least == 7 else 6] if len(args) > (7 if least == 7 else 6) else None
        if dtype is None:
            self.found.leave(name, pid[1].name, "safetensors has no such type of elements")
            return None
        if type(flags) is Dict and any(flags[1::2]):
            self.found.leave(name, "a conjugated or negated view", "its values are not those of its storage")
            return None
        view_offset = 0
        if len(pid) > 5 and isinstance(pid[5], tuple) and len(pid[5]) == 3 and _whole(pid[5][1]):
            view_offset = pid[5][1]
        if not (_whole(offset) and _sizes(shape) and _sizes(stride) and len(shape) == len(stride) and _whole(pid[4])):
            raise MalformedTensorError(f"{name}: offset, shape and stride must be whole numbers, none below 0")
        limit = pid[4] if least != 7 else -1
        return checked(
            Strided(
                name=name,
                dtype=dtype,
                shape=tuple(shape),
                stride=tuple(stride),
                offset=offset + view_offset,
                key=pid[2],
                limit=limit,
            )
        )

    def kind(self, code: str, dtype: Any, name: str) -> tuple[str, bool] | None:
        """The type of a numpy array's elements and whether their bytes are swapped; None where it is left out."""
        order = self.resolved(self._states.get(id(dtype)))
        swapped = isinstance(order, tuple) and len(order) > 1 and order[1] == ">"
        kind = of_numpy(f">{code}" if swapped else code)
        if kind is None:
            self.found.leave(name, f"an array of {code or 'objects'}", "safetensors has no such type of elements")
        return kind

    def array(self, state: Any, name: str) -> Strided | None:
        """The array of a numpy state: (version, shape, dtype, is Fortran, bytes)."""
        if not (isinstance(state, tuple) and len(state) == 5 and isinstance(state[4], bytes)):
            return None
        _, shape, dtype, fortran, raw = state
        code = dtype.args[0] if type(dtype) is Event and dtype.args and isinstance(dtype.args[0], str) else ""
        kind = self.kind(code, dtype, name)
        if kind is None or not _sizes(shape):
            return None
        return strided_array(name, kind, tuple(shape), raw, fortran=bool(fortran))


def strided_array(
    name: str, kind: tuple[str, bool], shape: tuple[int, ...], raw: bytes | None, *, fortran: bool, key: str = ""
) -> Strided:
    """A whole array, in the order of C or of Fortran."""
    stride: list[int] = []
    step = 1
    for side in shape if fortran else reversed(shape):
        stride.append(step)
        step *= side
    if not fortran:
        stride.reverse()
    return checked(
        Strided(
            name=name, dtype=kind[0], shape=shape, stride=tuple(stride), offset=0, key=key, limit=prod(shape), raw=raw,
            swapped=kind[1],
        )
    )  # fmt: skip


def checked(tensor: Strided) -> Strided:
    """The tensor, unless it makes no sense whatever its storage holds; raises MalformedTensorError."""
    reach = extent(tensor.shape, tensor.stride)
    if tensor.limit >= 0 and tensor.offset + reach > tensor.limit and reach:
        raise MalformedTensorError(f"{tensor.name}: it reaches outside its storage")
    if overlapping(tensor.shape, tensor.stride):
        raise MalformedTensorError(f"{tensor.name}: its elements overlap")
    if prod(tensor.shape) - reach > _MOST_EXPANDED // 8:
        raise MalformedTensorError(f"{tensor.name}: its shape is far larger than its storage")
    return tensor


def _whole(value: Any) -> bool:
    return type(value) is int and 0 <= value < 1 << 62


def _sizes(value: Any) -> bool:
    return isinstance(value, tuple) and len(value) <= 64 and all(map(_whole, value))


def _described(value: Any) -> str:
    if isinstance(value, Global):
        return value.dotted
    if isinstance(value, Set):
        return "a set"
    return type(value).__name__.lower()
