"""The abstract values on the stack of the symbolic machine.

A literal is kept as the offset of its opcode and decoded when somebody asks: text and bytes
as ``int``, numbers as ``float``; ``None`` and booleans are themselves; computed text and bytes
are ``str`` and ``bytes``. Containers are ``tuple``, ``list`` and the subclasses below. What the
loader would import or make is a ``Global``, an ``Event`` or a ``Persistent``.

``Trace.events`` hold *resolved* values only: there every literal is the Python value.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

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
    """What calling it means to the machine, where it knows (reflection.py)."""

    @property
    def dotted(self) -> str:
        """``module.name``."""
        return f"{self.module}.{self.name}" if self.name else self.module


@dataclass(eq=False, slots=True)
class Persistent:
    """What ``persistent_load`` would return for ``pid``."""

    pid: Any
    offset: int


@dataclass(eq=False, slots=True)
class Unresolved:
    """A value that static reading cannot tell; ``why`` says what made it."""

    why: str
    offset: int


@dataclass(eq=False, slots=True)
class Known:
    """A value that a call computes and static reading can tell; its literals are resolved."""

    value: Any


@dataclass(eq=False, slots=True)
class Event:
    """A call, a construction or a state write, and on the stack the value that it results in.

    ``kind`` is ``"call"`` (REDUCE, INST, OBJ of a function), ``"construct"`` (NEWOBJ ...) or ``"state"``
    (BUILD, and items fed to what is no plain container); ``callee`` is what is called or
    written to, ``name`` its dotted name or ``"unresolved"``.

    What becomes of the result (``called``, ``given``, ``stored``, ``written``, ``kept``; none of them: it is dropped)
    is that of all events counted as this one. Whoever writes the stream chooses it freely: a use says nothing for
    an event. ``depth`` is of the event itself, nothing beside it or after it changes it. Where the machine knows
    the result (``reached``, or a value computed) that goes on instead of the event: it has no uses, and counts
    for no depth.
    """

    kind: str
    opcode: str
    offset: int
    callee: Any
    name: str
    args: tuple[Any, ...]
    kwargs: Dict = field(default_factory=Dict)
    via: str = ""
    """How the callee was reached, where not by an import alone."""
    known: str = ""
    """The canonical dotted name of the callee, where it has one (names.py)."""
    called: bool = False
    """Whether the stream goes on to call the result."""
    reached: bool = False
    """Whether the machine knows its whole result: an object reached by name, or a text computed."""
    given: bool = False
    """Whether the result is handed to another call or construction, alone or in containers."""
    stored: bool = False
    """Whether the result is part of a state, or of items, that the stream writes into an object."""
    written: bool = False
    """Whether the stream writes state or items into the result."""
    kept: bool = False
    """Whether the result is what the load returns, alone or in containers."""
    holds: bool = False
    """Whether state that was written into the result holds what could be called as a function."""
    depth: int = 1
    """How many events lie in one another: 1 for one whose callee and arguments no other event made."""
    count: int = 1
    """How many events of this shape the stream has."""


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
