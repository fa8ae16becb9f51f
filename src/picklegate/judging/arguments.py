"""What lies in the values that an event is given: texts, bytes, imported objects, results of other events.

Results of other calls are looked through: a text that a stream wraps in an exception, a memoryview, a numpy scalar or
a call of anything else is a text among the arguments of whoever is given the result.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

from picklegate.judging import callables, encoded_text
from picklegate.pickles import Event, Global, Unresolved
from picklegate.pickles.values import CONTAINERS, attributes

_MOST_WRAPPED = 20_000
"""Values that are looked at inside the results of other calls, for one event."""

States = Mapping[int, Sequence[Event]]
"""``id`` of an event -> the state that the stream writes into its result."""


def states_of(events: Iterable[Event]) -> dict[int, list[Event]]:
    """The states that a stream writes into what it makes, by what it makes."""
    found: dict[int, list[Event]] = {}
    for event in events:
        if event.kind == "state" and type(event.callee) is Event:
            found.setdefault(id(event.callee), []).append(event)
    return found


@dataclass(slots=True)
class Contents:
    """The texts, bytes and objects in a value; ``results`` and ``unresolved`` are counts.

    ``direct`` are those of the texts that are arguments themselves, or that an argument is but for its type; of a state
    the names of attributes.
    ``wrapped`` are the texts inside results of other calls. ``carried`` are bytes that the callee makes code of, or
    that are judged as a stream of their own.
    """

    texts: dict[str, None] = field(default_factory=dict)
    direct: dict[str, None] = field(default_factory=dict)
    wrapped: dict[str, None] = field(default_factory=dict)
    blobs: list[bytes] = field(default_factory=list)
    globals: list[Global] = field(default_factory=list)
    results: int = 0
    unresolved: int = 0
    carried: list[bytes] = field(default_factory=list)
    columns: bool = False
    """Whether the columns of pyarrow in it count with their texts: all but those who keep them may take them out."""
    states: States = field(default_factory=dict)
    facts: Any = None
    """What the callee can do with them, once somebody has asked (callee_facts.py)."""

    def add(self, value: Any) -> None:
        """Take in ``value`` and what it holds."""
        pending: list[tuple[Any, bool]] = [(value, False)]
        seen: set[int] = set()
        left = _MOST_WRAPPED
        while pending:
            item, inside = pending.pop()
            kind = type(item)
            if kind in _NUMBERS:
                continue
            if inside:
                left -= 1
                if left < 0:
                    self.unresolved += 1
                    return
            if kind in CONTAINERS:
                if id(item) not in seen:
                    seen.add(id(item))
                    pending.extend((part, inside) for part in item)
            elif isinstance(item, str):
                self._add_text(item, inside=inside)
            elif isinstance(item, bytes):
                self.blobs.append(item)
            elif kind is Global:
                self.globals.append(item)
            elif kind is Event:
                self.results += not inside
                if id(item) not in seen:
                    seen.add(id(item))
                    pending.extend((part, True) for part in self._parts(item))
            elif kind is Unresolved:
                self.unresolved += 1

    def _add_text(self, text: str, *, inside: bool) -> None:
        if "\0" in text:
            # Neither source code nor a command can hold a NUL: these are bytes as Python 2 wrote them.
            self.blobs.append(text.encode("utf-8" if max(text) > "\xff" else "latin-1", "replace"))
        elif inside:
            self.wrapped[text] = None
        else:
            self.texts[text] = None

    def _parts(self, event: Event) -> Iterator[Any]:
        """What a call was given whose result is among the values."""
        known = event.known
        if known in callables.role("carrier") or callables.makes_code(known) or event.kind == "state":
            return
        if known in callables.role("column") and not self.columns:
            return
        if encoded_text.is_array(known):
            for state in (event, *self.states.get(id(event), ())):
                texts = encoded_text.of_array(state)
                self.wrapped.update(dict.fromkeys(texts))
            yield from _objects_of_array(event, self.states)
        elif callables.serialises(known) and known not in callables.role("column"):
            return
        else:
            if text := encoded_text.of_call(event):
                self.wrapped[text] = None
            yield from chain(event.args, event.kwargs)
            if callables.constructs_data(known):
                yield from (part for state in self.states.get(id(event), ()) for part in state.args)


def _objects_of_array(event: Event, states: States) -> Iterator[Any]:
    """The items of an array of objects."""
    for state in states.get(id(event), ()):
        parts = state.args[0] if len(state.args) == 1 and type(state.args[0]) is tuple else state.args
        yield from (part for part in parts if type(part) is list)


_NUMBERS = frozenset((int, float, bool, type(None)))


def contents_of(value: Any, states: States | None = None) -> Contents:
    """What lies in ``value``, at any depth."""
    found = Contents(states=states or {})
    found.add(value)
    return found


def arguments_of(event: Event, states: States | None = None) -> Contents:
    """The contents of the event's arguments, without names inside code objects and what is data in any case."""
    columns = event.kind == "call" and not event.known.startswith(callables.KEEPING)
    found = Contents(columns=columns, states=states or {})
    found.add((event.args, event.kwargs))
    if event.kind == "state":
        found.direct.update(dict.fromkeys(attributes(event.args[0] if len(event.args) == 1 else event.args)))
    elif not (event.kind == "construct" and event.known.startswith("__main__.")):
        # The classes of __main__ are the user's own program, and what they are handed is data.
        for value in (*event.args, *event.kwargs[1::2]):
            found.direct.update(dict.fromkeys(_as_text(value, found.states)))
    else:
        found.texts = {}
    makes_code = callables.makes_code(event.known)
    keeps = callables.constructs_data(event.known) or callables.serialises(event.known)
    if makes_code or callables.is_builtin_error(event.known) or event.known in callables.role("read"):
        found.texts, found.direct = {}, {}
    elif event.known in callables.role("holding") and event.kind == "call":
        found.texts = dict.fromkeys(found.direct)
    if event.kind != "call" or keeps or not columns or event.known in callables.role("read"):
        # What keeps the results of other calls, or makes an object of them, does nothing with the texts in them.
        found.wrapped.clear()
    if makes_code or event.known in callables.role("carrier"):
        found.blobs, found.carried = [], found.blobs
    elif event.known in callables.role("column") or encoded_text.is_array(event.known):
        found.blobs.clear()
        if encoded_text.is_array(event.known) and event.args and type(event.args[0]) is Event:
            # Python 2 wrote bytes as text: with a data type before it, it is the memory of a number.
            found.texts, found.direct = {}, {}
    return found


def _as_text(value: Any, states: States, depth: int = 0) -> Iterator[str]:
    """The texts that one argument is: itself, a scalar of numpy's, or what a constructor of plain data makes of one."""
    if isinstance(value, str):
        if "\0" not in value:
            yield value
    elif type(value) is Event and value.kind == "call" and depth < _DEPTH:
        if encoded_text.is_array(value.known):
            yield from encoded_text.of_array(value)
        elif callables.constructs_data(value.known):
            if text := encoded_text.of_call(value):
                yield text
            for part in (*value.args, *value.kwargs[1::2]):
                yield from _as_text(part, states, depth + 1)


_DEPTH = 6
