"""What lies in the values that an event is given: texts, bytes, imported objects, results of other events."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from picklegate.judging import callables
from picklegate.pickles import Event, Global, Unresolved
from picklegate.pickles.values import CONTAINERS


@dataclass(slots=True)
class Contents:
    """The texts, bytes and objects in a value; ``results`` and ``unresolved`` are counts.

    ``carried`` are bytes that the callee makes code of, or that are judged as a stream of their own.
    """

    texts: dict[str, None] = field(default_factory=dict)
    blobs: list[bytes] = field(default_factory=list)
    globals: list[Global] = field(default_factory=list)
    results: int = 0
    unresolved: int = 0
    carried: list[bytes] = field(default_factory=list)
    columns: bool = False
    """Whether the columns of pyarrow in it count with their texts: all but those who keep them may take them out."""

    def add(self, value: Any) -> None:
        """Take in ``value`` and what it holds."""
        pending = [value]
        seen: set[int] = set()
        while pending:
            item = pending.pop()
            kind = type(item)
            if kind in _NUMBERS:
                continue
            if kind in CONTAINERS:
                if id(item) not in seen:
                    seen.add(id(item))
                    pending.extend(item)
            elif isinstance(item, str):
                if "\0" in item:
                    # Neither source code nor a command can hold a NUL: these are bytes as Python 2 wrote them.
                    self.blobs.append(item.encode("latin-1", "replace"))
                else:
                    self.texts[item] = None
            elif isinstance(item, bytes):
                self.blobs.append(item)
            elif kind is Global:
                self.globals.append(item)
            elif kind is Event:
                self.results += 1
                passing = item.known in callables.HOLDING or (
                    self.columns and item.known.startswith(callables.COLUMNAR)
                )
                if passing and item.kind == "call" and id(item) not in seen:
                    seen.add(id(item))
                    pending.extend((*item.args, *item.kwargs))
            elif kind is Unresolved:
                self.unresolved += 1


_NUMBERS = frozenset((int, float, bool, type(None)))


def contents_of(value: Any) -> Contents:
    """What lies in ``value``, at any depth."""
    found = Contents()
    found.add(value)
    return found


def arguments_of(event: Event) -> Contents:
    """The contents of the event's arguments, without names inside code objects and what is data in any case."""
    found = Contents(columns=event.kind == "call" and not event.known.startswith(callables.KEEPING))
    found.add((event.args, event.kwargs))
    makes_code = callables.makes_code(event.known)
    if makes_code or callables.is_builtin_error(event.known):
        found.texts.clear()
    elif event.known in callables.HOLDING and event.kind == "call":
        found.texts = contents_of(tuple(arg for arg in event.args if isinstance(arg, str))).texts
    if makes_code or event.known in callables.CARRIERS:
        found.blobs, found.carried = [], found.blobs
    elif event.known in callables.COLUMNS:
        found.blobs.clear()
    return found
