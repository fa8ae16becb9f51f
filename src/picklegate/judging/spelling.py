"""Events and values as short Python-like text."""

from __future__ import annotations

from typing import Any

from picklegate.pickles import Dict, Event, Global, Persistent, Set, Unresolved

_LONG_INTEGER = 1_000
"""Bits from which on an integer is described and not written out."""


def spell_call(event: Event) -> str:
    """The call of an event, as Python would spell it."""
    return f"{event.name}({', '.join(spell_arguments(event))})"


def spell_arguments(event: Event) -> tuple[str, ...]:
    """The first arguments of an event, each as short text."""
    pairs = zip(event.kwargs[::2], event.kwargs[1::2], strict=False)
    return (*(spell(item) for item in event.args[:8]), *(f"{key}={spell(item)}" for key, item in pairs))


def spell(value: Any, room: int = 200) -> str:
    """A value as short Python-like text, of at most about ``room`` characters."""
    if isinstance(value, (str, bytes)):
        cut = value if len(value) <= room else value[:room]
        return repr(cut) + ("..." if len(value) > room else "")
    kind = type(value)
    if kind in _BRACKETS:
        parts: list[str] = []
        for item in value[:8]:
            parts.append(spell(item, max(8, room // 4)))
            if sum(map(len, parts)) > room:
                break
        inner = ", ".join(parts) + (", ..." if len(value) > len(parts) else "")
        return inner.join(_BRACKETS[kind])
    if kind is Global:
        return str(value.dotted)
    if kind is Event:
        return f"<{value.name}(...)>"
    if kind is Persistent:
        return "<persistent>"
    if kind is Unresolved:
        return "<unresolved>"
    if kind is int and value.bit_length() > _LONG_INTEGER:
        return f"<integer of {value.bit_length()} bits>"
    return repr(value)[:room]


_BRACKETS: dict[type, str] = {Dict: "{}", Set: "{}", list: "[]", tuple: "()"}
