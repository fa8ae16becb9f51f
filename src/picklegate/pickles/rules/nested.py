"""Streams in a stream: the loaders that a stream can call, and what bytes read as whoever is given them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import chain
from typing import TYPE_CHECKING, Any

from picklegate.pickles.opcodes import Cut
from picklegate.pickles.values import CONTAINERS, Event, Global

if TYPE_CHECKING:
    from picklegate.pickles.records import Import, Trace
    from picklegate.pickles.rules.protocol import Effects

_MOST_NESTED = 256
_LEAST = 16
"""Bytes of the shortest pickle that does harm, or nearly so."""
_DEEP = 4
_FILES = ("io.BytesIO", "io.StringIO")

_NUMBERS = re.compile(
    r"(numpy(\._?core\.(multiarray|numeric|_internal|_multiarray_umath)|\.random(\.\w+)*|\.ma\.core)?|types|datetime|array"
    r"|random|torch\._utils|pyarrow\.lib)\.\w+|builtins\.(bytes|bytearray|int|float|str)(\.\w+)?|codecs\.\w+"
)
"""Those that take bytes for numbers, text or code. Long ones are looked at as far as _FEW opcodes reach."""
_FEW = 100_000

_ZIP = b"PK\x03\x04"
"""How a zip begins. A pickle may begin so too, with a persistent id: whoever opens containers reads both."""
_PACKED = (_ZIP, b"\x93NUMPY", b"\x1f\x8b\x08", b"BZh", b"\xfd7zXZ\0", b"ZF0x")
"""How the containers begin that are opened wherever they lie."""

_NAME = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*")
_IMPORT = re.compile(rb"[ci][A-Za-z_\x80-\xff][^\n]{0,255}\n[A-Za-z_\x80-\xff][^\n]{0,255}\n")
"""What a pickle that imports has in its bytes: this, or STACK_GLOBAL, or a number of the loader's registry."""
_NAMED = re.compile(rb"c[A-Za-z_][\w.]*\n[A-Za-z_][\w.]*\n|[\x8cX][^\n]{1,4}[A-Za-z_][\w.]*[^\w.][^\x93]{0,12}\x93")
"""What a pickle that imports a name of letters has, whatever stands before it."""
_OLD = re.compile(r"[ci][\w.]+\n[\w.]+\n")
"""An import in a pickle of protocol 0, which Python 2 held as text."""


def _traced(effects: Effects, name: str, data: bytes) -> Trace | None:
    """The trace of a nested stream, recorded once for the same bytes; None where there are too many."""
    shared = effects.shared
    if data not in shared.known:
        if len(shared.known) >= _MOST_NESTED:
            return None
        shared.known[data] = effects.trace(data, limits=effects.limits, depth=effects.depth + 1, shared=shared)
        effects.nested.append((name, shared.known[data]))
    return shared.known[data]


def _peek(effects: Effects, name: str, data: bytes, *, few: bool) -> None:
    """Trace bytes that something may unpickle, and record them if that calls something it imports."""
    shared = effects.shared
    if data in shared.dull or data in shared.known:
        return
    if b"\x93" not in data and (data.count(b"\n") < 2 or not _IMPORT.search(data)):
        return
    if len(shared.known) >= _MOST_NESTED:
        effects.note("limit.depth", 0, "more bytes read as pickles than the limits allow")
        return
    limits = replace(effects.limits, max_opcodes=_FEW) if few else effects.limits
    found = effects.trace(data, limits=limits, depth=effects.depth + 1, shared=shared)
    unread = not few and found.fault is not None and found.fault.code.startswith("limit.")
    if acts(found) or (unread and _NAMED.search(data)):
        shared.known[data] = found
        effects.nested.append((name, found))
    else:
        shared.dull.add(data)


def acts(found: Trace) -> bool:
    """Whether a stream calls something after it imported what Python could import; what comes later changes nothing."""
    if not found.events:
        return False
    last = max(event.offset for event in found.events)
    return any(one.offset < last and _is_importable(one) for one in found.imports)


def _is_importable(one: Import) -> bool:
    """Whether an import names what Python could import; a number of the loader's registry stands in any bytes."""
    return one.via != "EXT" and bool(_NAME.fullmatch(one.module) and _NAME.fullmatch(one.name))


def peek(effects: Effects, event: Event) -> None:
    """Look at the bytes that a call or a state has: classes unpickle such bytes in ``__setstate__`` and helpers."""
    owner = event.known or getattr(event.callee, "known", "")
    few = _NUMBERS.fullmatch(owner) is not None
    for data in _bytes_in((*event.args, *event.kwargs)):
        if effects.depth >= effects.limits.max_depth:
            effects.note("limit.depth", event.offset, f"streams are nested more than {effects.limits.max_depth} deep")
            return
        if owner in _FILES or data.startswith(_PACKED):
            # Whoever reads the file may take it for any container.
            effects.blobs.append((owner, data))
        if not data.startswith(_ZIP):
            _peek(effects, event.name, data, few=few)


def _bytes_in(values: Iterable[Any]) -> Iterator[bytes]:
    """The bytes in these values, and in containers among them; each container is looked through once."""
    level, seen = [values], set[int]()
    for _ in range(_DEEP + 1):
        below: list[Any] = []
        for value in chain.from_iterable(level):
            if type(value) is bytes:
                if len(value) >= _LEAST:
                    yield value
            elif type(value) is str:
                if len(value) >= _LEAST and _OLD.search(value):
                    yield value.encode("latin-1", "replace")
            elif type(value) in CONTAINERS and id(value) not in seen and not _TELLING.isdisjoint(map(type, value)):
                seen.add(id(value))
                below.append(value)
        level = below


_TELLING = CONTAINERS | {bytes, str}


def _load(effects: Effects, event: Event) -> Any:
    """A call that loads another stream: trace it and go on with what it results in."""
    data = event.args[0] if event.args else None
    if type(data) is Event and data.known in _FILES and data.args:
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
    if not isinstance(data, bytes) or effects.depth >= effects.limits.max_depth:
        return None
    _peek(effects, event.name, data, few=False)
    return _load(effects, event) if data in effects.shared.known else None


METHODS = ("loads", "load_pickle", "unpickle")
"""Last parts of names by which what is not known is taken for a loader, if it is given a pickle."""

RULES: dict[str, Any] = dict.fromkeys((*CONTAINER_LOADERS, *_PICKLE_LOADERS), _load)
"""Canonical names of loaders -> the rule, as reflection.py defines them."""
