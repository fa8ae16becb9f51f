"""The abstract values on the stack of the symbolic machine.

A literal is kept as the offset of its opcode and decoded when somebody asks: text and bytes
as ``int``, numbers as ``float``; ``None`` and booleans are themselves; computed text and bytes
are ``str`` and ``bytes``. Containers are ``tuple``, ``list`` and the subclasses below. What the
loader would import or make is a ``Global``, an ``Event`` or a ``Persistent``.

``Trace.events`` hold *resolved* values only: there every literal is the Python value.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from picklegate.pickles.opcodes import NUMBERS, TEXTS, Buffer, instructions

_TELLING = frozenset((str, bytes, int, float, bool, type(None)))
"""Types of which it can be told whether two values are one key."""


class Dict(list[Any]):
    """A dict as the flat list of its keys and values, in the order they were set."""

    __slots__ = ()

    def last(self, key: Any) -> tuple[Any] | None:
        """The value that was set last for ``key``, both resolved; None where that cannot be told."""
        for known, value in zip(self[-2::-2], self[::-2], strict=False):
            if type(known) not in _TELLING:
                return None
            if known == key:
                return (value,)
        return None


class Set(list[Any]):
    """A set or frozenset as the list of its items."""

    __slots__ = ()


@dataclass(eq=False, slots=True)
class Global:
    """An object reached by name; an empty ``name`` is the module itself.

    ``via`` names what reached it where that was not an import opcode (``"getattr"`` ...).
    """

    module: str
    name: str
    offset: int
    via: str = ""
    known: str = ""
    """The canonical dotted name (names.py)."""
    rule: Any = None
    """What calling it means to the machine, where it knows (rules)."""
    of_instance: bool = False
    """Whether it is an attribute of an instance: ``name`` then has ``()`` behind what made that."""
    dotted: str = ""
    """``module.name``."""

    def __post_init__(self) -> None:
        """Put the dotted name together."""
        self.dotted = f"{self.module}.{self.name}" if self.name else self.module


class Persistent:
    """What ``persistent_load`` would return for ``pid``; given a ``reader``, that is resolved when somebody asks."""

    __slots__ = ("_pid", "_reader", "offset")

    def __init__(self, pid: Any, offset: int, reader: Callable[[Any], Any] | None = None) -> None:
        """``pid`` is resolved, or as it lies on the stack where there is a ``reader``."""
        self._pid = pid
        self._reader = reader
        self.offset = offset

    @property
    def pid(self) -> Any:
        """The persistent id, resolved."""
        if self._reader is not None:
            self._pid, self._reader = self._reader(self._pid), None
        return self._pid


@dataclass(eq=False, slots=True)
class Unresolved:
    """A value that static reading cannot tell; ``why`` says what made it."""

    why: str
    offset: int


@dataclass(eq=False, slots=True)
class Known:
    """A value that a call computes and static reading can tell; its literals are resolved."""

    value: Any


_NUMBERS_SHOWN = 16


@dataclass(eq=False, slots=True)
class Run:
    """Plain data in a container of a long stream that was passed over: ``data[start:end]``, which may be empty."""

    start: int
    end: int

    def literals(self, data: Buffer) -> Iterator[int | float]:
        """The text and bytes literals in it, and its first numbers, as they would lie on the stack."""
        numbers = 0
        for pos, _ in instructions(data, self.start, self.end):
            if data[pos] in TEXTS:
                yield pos
            elif numbers < _NUMBERS_SHOWN and data[pos] in NUMBERS:
                numbers += 1
                yield float(pos)


_NO_KEYWORDS = Dict()
_Reader = Callable[["Event", tuple[Any, ...]], tuple[Any, ...]]


class Event:
    """A call, a construction or a state write, and on the stack the value that it results in.

    ``kind`` is ``"call"`` (REDUCE, INST, OBJ of a function), ``"construct"`` (NEWOBJ ...) or ``"state"``
    (BUILD, and items fed to what is no plain container); ``callee`` is what is called or written to, ``name`` its
    dotted name, ``"unresolved"`` where that is not known. ``known`` is the canonical name (names.py), ``via`` how the
    callee was reached, where not by an import alone.

    Each event is its own value. Events that differ only in numbers are *counted as* the first of them (``group``),
    which alone is in the record, with their ``count``; one that the stream goes on to call is in the record itself.
    """

    __slots__ = (
        "_args",
        "_group",
        "_raw",
        "_reader",
        "called",
        "callee",
        "count",
        "holds",
        "kind",
        "known",
        "kwargs",
        "made_class",
        "name",
        "offset",
        "opcode",
        "reached",
        "unresolved",
        "via",
        "written",
    )  # fmt: skip

    def __init__(
        self,
        kind: str,
        opcode: str,
        offset: int,
        callee: Any,
        name: str,
        args: tuple[Any, ...],
        kwargs: Dict | None = None,
        via: str = "",
        known: str = "",
    ) -> None:
        """An event of resolved values that stands for itself; without a ``name`` its callee is not resolved."""
        self.kind = kind
        self.opcode = opcode
        self.offset = offset
        self.callee = callee
        self.name = name or "unresolved"
        self.unresolved = not name
        self.known = known
        self.via = via
        self.kwargs = kwargs or _NO_KEYWORDS
        self._group: Event | None = None
        self.count = 1
        """How many calls are counted as this one, itself among them."""
        self.called = False
        """Whether the stream goes on to call the result."""
        self.reached = False
        """Whether the machine knows its whole result: an object reached by name, or a text computed."""
        self.written = False
        """Whether the stream writes state or items into the result."""
        self.holds = False
        """Whether state that was written into the result holds what could be called as a function."""
        self.made_class = False
        """Whether the callee is a class that the stream itself made."""
        self._args: tuple[Any, ...] | None = args
        self._raw: tuple[Any, ...] = ()
        self._reader: _Reader | None = None

    @classmethod
    def counted(
        cls,
        group: Event,
        offset: int,
        raw: tuple[Any, ...],
        reader: _Reader,
    ) -> Event:
        """One that is counted as ``group``; ``reader`` resolves its ``raw`` arguments when somebody asks for them."""
        group.count += 1
        self = object.__new__(cls)
        self.kind, self.opcode, self.offset = group.kind, group.opcode, offset
        self.callee, self.name, self.known, self.via = group.callee, group.name, group.known, group.via
        self.kwargs, self._group, self.count = _NO_KEYWORDS, group, 1
        self.unresolved = self.called = self.reached = self.written = self.holds = self.made_class = False
        self._args, self._raw, self._reader = None, raw, reader
        return self

    @property
    def group(self) -> Event:
        """The event that this one is counted as: itself, where it is in the record."""
        return self._group or self

    @group.setter
    def group(self, event: Event) -> None:
        # An event that holds itself would stay until the next collection of garbage.
        self._group = None if event is self else event

    @property
    def args(self) -> tuple[Any, ...]:
        """The arguments, resolved."""
        if self._args is None and self._reader is not None:
            self._args = self._reader(self, self._raw)
            self._raw, self._reader = (), None
        return self._args or ()

    @args.setter
    def args(self, args: tuple[Any, ...]) -> None:
        self._args = args


def attributes(state: Any) -> dict[str, Any]:
    """The attributes that a resolved BUILD state sets: a dict, or the pair (dict, slots)."""
    found: dict[str, Any] = {}
    parts = state if type(state) is tuple and len(state) == 2 else (state,)
    for part in parts:
        if type(part) is Dict:
            found.update((key, item) for key, item in zip(part[::2], part[1::2], strict=False) if isinstance(key, str))
    return found


CONTAINERS = frozenset((tuple, list, Dict, Set))
"""The types of abstract values that hold others."""
_NO_TEXT = CONTAINERS | {bytes, bool, int, float, type(None)}


def is_no_text(value: Any) -> bool:
    """Whether a resolved value is surely no ``str``: a number, bytes, a container, or an instance of another class."""
    if type(value) is Event:
        owner = value.callee
        return value.opcode in ("NEWOBJ", "NEWOBJ_EX") and type(owner) is Global and owner.known != "builtins.str"
    return type(value) in _NO_TEXT
