"""What calls must share to be counted as one."""

from __future__ import annotations

from typing import Any

from picklegate.pickles.opcodes import Cut
from picklegate.pickles.values import CONTAINERS, Event, Global, Persistent, Unresolved

_WIDE = 256
"""Items of a container, and bytes of a text, up to which calls are compared."""
_DEEP = 4
"""Containers in containers up to which calls are compared."""
_MANY = 10_000
"""Events after which those that differ only in one plain word are counted as one."""

OPAQUE = frozenset((Global, Event, Persistent, Unresolved, str, Cut, bytes, bool))
"""The types of abstract values that are kept as they are."""
_NUMBERS = frozenset((float,))


class Unshaped(Exception):  # noqa: N818
    """A call is too large to be compared with others."""


def shape(effects: Any, opcode: str, callee: Global, args: Any) -> Any:
    """What calls must share to be counted as one, all but the numbers in them; None where that is too much.

    Code objects are never counted as one: their numbers tell what the code does.
    """
    if callee.known == "types.CodeType":
        return None
    try:
        return (opcode, callee, _parts(effects, args, 0))
    except Unshaped:
        return None


def _parts(effects: Any, items: Any, deep: int) -> tuple[Any, ...]:
    """The shape of each item; raises Unshaped."""
    if len(items) > _WIDE or deep > _DEEP:
        raise Unshaped
    found: list[Any] = []
    for item in items:
        kind = type(item)
        if kind is float or kind is Persistent:
            found.append(kind)
        elif kind is int:
            found.append(_word(effects, item))
        elif kind in CONTAINERS:
            plain = not item or (len(item) <= _WIDE and _NUMBERS.issuperset(map(type, item)))
            found.append((kind, len(item) if plain else _parts(effects, item, deep + 1)))
        elif kind in OPAQUE or item is None:
            found.append(item)
        else:
            raise Unshaped
    return tuple(found)


def _word(effects: Any, pos: int) -> Any:
    """A literal as part of a shape; raises Unshaped for a long one."""
    text = effects.text(pos)
    if len(text) > _WIDE:
        raise Unshaped
    if len(effects.events) > _MANY and type(text) is str and text.isidentifier():
        return str
    return text
