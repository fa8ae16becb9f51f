"""Streams in a stream: the loaders that a stream can call, and what they are given."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from picklegate.pickles.opcodes import Cut
from picklegate.pickles.values import CONTAINERS, Event, Global

if TYPE_CHECKING:
    from picklegate.pickles.records import Trace
    from picklegate.pickles.rules.protocol import Effects


def _traced(effects: Effects, name: str, data: bytes) -> Trace | None:
    """The trace of a nested stream, recorded once for the same bytes; None where there are too many."""
    shared = effects.shared
    if data not in shared.known:
        if len(shared.known) >= _MOST_NESTED:
            return None
        shared.known[data] = effects.trace(data, limits=effects.limits, depth=effects.depth + 1, shared=shared)
        effects.nested.append((name, shared.known[data]))
    return shared.known[data]


def _peek(effects: Effects, name: str, data: bytes) -> None:
    """Trace bytes that something may unpickle, and record them if that calls something it imports."""
    shared = effects.shared
    if data in shared.dull or data in shared.known or len(shared.known) >= _MOST_NESTED:
        return
    found = effects.trace(data, limits=effects.limits, depth=effects.depth + 1, shared=shared)
    if found.events and found.imports and all(f"{one.module}.{one.name}".isprintable() for one in found.imports):
        shared.known[data] = found
        effects.nested.append((name, found))
    else:
        shared.dull.add(data)


_MOST_NESTED = 256
_LEAST = 16
"""Bytes of the shortest pickle that does harm, or nearly so."""
_NUMBERS = ("numpy.", "builtins.", "types.", "datetime.", "codecs.", "array.", "random.", "collections.")
"""Beginnings of the names of those that take bytes for numbers, text or code, and unpickle none."""
_DEEP = 4


def peek(effects: Effects, event: Event) -> None:
    """Look at the bytes that a call or a state has: classes unpickle such bytes in ``__setstate__`` and helpers."""
    if effects.depth >= effects.limits.max_depth:
        return
    owner = event.known or getattr(event.callee, "known", "")
    if owner == "io.BytesIO" and event.args and type(event.args[0]) is bytes:
        # Whoever reads the file may take it for any container.
        effects.blobs.append((owner, event.args[0]))
    elif owner.startswith(_NUMBERS):
        return
    for data in _bytes_in((*event.args, *event.kwargs), 0):
        _peek(effects, event.name, data)


def _bytes_in(values: Iterable[Any], deep: int) -> Iterator[bytes]:
    for value in values:
        if type(value) is bytes:
            if len(value) >= _LEAST:
                yield value
        elif type(value) in CONTAINERS and deep < _DEEP and not _TELLING.isdisjoint(map(type, value)):
            yield from _bytes_in(value, deep + 1)


_TELLING = CONTAINERS | {bytes}


def _load(effects: Effects, event: Event) -> Any:
    """A call that loads another stream: trace it and go on with what it results in."""
    data = event.args[0] if event.args else None
    if type(data) is Event and data.known in ("io.BytesIO", "io.StringIO") and data.args:
        file, data = data, data if effects.changes.gave(data) else data.args[0]
        effects.changes.hand((file,))
    if isinstance(data, str) and type(data) is not Cut:
        data = data.encode("latin-1", "replace")
    if not isinstance(data, bytes):
        effects.note("stream.nested-unread", event.offset, f"{event.name} loads a stream that is not in the file")
        return None
    if event.known in CONTAINER_LOADERS:
        effects.blobs.append((event.name, data))
        return None
    if effects.depth >= effects.limits.max_depth:
        effects.note("limit.depth", event.offset, f"streams are nested more than {effects.limits.max_depth} deep")
        return None
    inner = _traced(effects, event.name, data)
    if inner is None:
        effects.note("limit.depth", event.offset, "more streams are nested than the limits allow")
        return None
    return inner.result if type(inner.result) in (Global, Event, str, bytes) else None


CONTAINER_LOADERS = frozenset((
    "torch.storage._load_from_bytes", "torch.load", "torch._load", "torch._legacy_load", "torch.jit.load",
    "joblib.load", "joblib.numpy_pickle.load",
    "joblib.numpy_pickle_compat.load_compatibility",
    "numpy.load", "numpy.lib.npyio.load", "numpy.lib.format.read_array",
    "pandas.read_pickle", "pandas.io.pickle.read_pickle",
))  # fmt: skip
"""Callables that load a container; its bytes are opened by ``picklegate.containers``."""

_PICKLE_LOADERS = (
    "pickle.loads", "pickle.load", "pickle._loads", "pickle._load", "pickle.Unpickler", "pickle._Unpickler",
    "cloudpickle.loads", "cloudpickle.load", "dill.loads", "dill.load", "numpy.loads", "numpy.compat.py3k.loads",
    "numpy.core._methods.loads", "torch.package._directory_reader.loads", "multiprocessing.reduction.loads",
    "multiprocessing.connection._ForkingPickler.loads", "multiprocessing.reduction.ForkingPickler.loads",
    "pandas.compat.pickle_compat.loads", "pandas.compat.pickle_compat.load", "sklearn.externals.joblib.loads",
    "django.core.signing.loads", "jsonpickle.unpickler.loadclass", "srsly.pickle_loads", "srsly.cloudpickle.loads",
)  # fmt: skip


def load_if_pickle(effects: Effects, event: Event) -> Any:
    """The rule for what is called ``loads`` and is not known: bytes that are a pickle are taken for one."""
    data = event.args[0] if event.args else None
    return _load(effects, event) if isinstance(data, bytes) and data[:1] == b"\x80" else None


METHODS = ("loads", "load_pickle", "unpickle")
"""Last parts of names by which what is not known is taken for a loader, if it is given a pickle."""

RULES: dict[str, Any] = dict.fromkeys((*CONTAINER_LOADERS, *_PICKLE_LOADERS), _load)
"""Canonical names of loaders -> the rule, as reflection.py defines them."""
