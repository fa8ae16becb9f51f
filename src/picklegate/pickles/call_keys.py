"""When two calls may be counted as one: they differ in numbers only. Neither is ever taken for the other."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from picklegate.pickles.opcodes import NAMES, instructions
from picklegate.pickles.values import CONTAINERS, Event, Global, Persistent, Unresolved

_WIDE = 256
"""Items of a container, and bytes of a text, up to which calls are compared."""
_MOST = 1024
"""Items in all the containers of one call up to which it is compared."""
_DEEP = 4
"""Containers in containers up to which calls are compared."""
_NEVER = frozenset((
    "types.CodeType", "functools.partial", "operator.attrgetter", "operator.itemgetter", "operator.methodcaller",
    "types.GenericAlias", "weakref.ref", "io.BytesIO", "io.StringIO",
))  # fmt: skip
"""What is judged by each of its calls: code, whose numbers tell what it does, and what is made to be called or read."""
_PACKED = {"datetime.datetime": 10, "datetime.date": 4, "datetime.time": 6}
"""Classes that take that many bytes for numbers."""
_NUMERIC = re.compile(r"[<>=|]?[?bBhHiIlLqQpPefdgFDGumM]\d{0,2}|[<>=|]?c\d{1,2}")
"""Types of numpy whose bytes are numbers."""
_IMPORTS = frozenset(b"ci\x82\x83\x84\x93")
_SHORT = 16
"""Bytes that are too few for a pickle that does harm."""
_LONGEST = 4096
"""Bytes of numbers up to which calls are compared."""
_AS_THEY_ARE = frozenset((Global, Unresolved, bool, type(None)))


class Unshaped(Exception):  # noqa: N818
    """A call is too large to be compared with others."""


class Keys:
    """The keys of one stream's calls; ``text`` decodes a literal."""

    def __init__(self, text: Callable[[int], Any]) -> None:
        """Begin with no key made."""
        self._text = text
        self._left = 0
        self.grows = False
        """Whether the last call was given containers that may grow."""

    def of(self, opcode: str, callee: Global, args: Any) -> Any:
        """What calls must share to be counted as one; None where this one stands for itself."""
        self.grows, self._left = False, _MOST
        if callee.known in _NEVER:
            return None
        try:
            return (opcode, callee, self._parts(args, 0, _PACKED.get(callee.known, 0), callee.known))
        except Unshaped:
            return None

    def _parts(self, items: Any, deep: int, packed: int, known: str) -> tuple[Any, ...]:
        """The key of each item, ``packed`` the length of bytes that are numbers; raises Unshaped."""
        self._left -= len(items)
        if len(items) > _WIDE or deep > _DEEP or self._left < 0:
            raise Unshaped
        found: list[Any] = []
        for item in items:
            kind = type(item)
            if kind is float or kind is Persistent:
                found.append(kind)
            elif kind is int or kind is str or kind is bytes:
                text = self._text(item) if kind is int else item
                size = len(text)
                fits = packed and (size == packed or (packed == _LONGEST and size <= packed))
                if fits and (size <= _SHORT or not _may_import(text)):
                    found.append((type(text), size))
                elif size > _WIDE:
                    raise Unshaped
                else:
                    found.append(text)
            elif kind is Event:
                group = item.group
                found.append(group)
                if group.known == "numpy.dtype" and known.startswith("numpy.") and _is_numeric(group):
                    packed = _LONGEST
            elif kind in CONTAINERS:
                self.grows = self.grows or kind is not tuple
                found.append((kind, self._parts(item, deep + 1, 0, known)))
            elif kind in _AS_THEY_ARE:
                found.append(item)
            else:
                raise Unshaped
        return tuple(found)


def _may_import(data: Any) -> bool:
    """Whether bytes, read as a pickle, come to an import before they come to what is no opcode."""
    data = data.encode("latin-1", "replace") if isinstance(data, str) else data
    for pos, _ in instructions(data, 0, len(data)):
        if data[pos] in _IMPORTS:
            return True
        if data[pos] not in NAMES:
            return False
    return False


def _is_numeric(dtype: Event) -> bool:
    """Whether a ``numpy.dtype`` is one of numbers, dates among them."""
    name = dtype.args[0] if dtype.args else None
    return isinstance(name, str) and _NUMERIC.fullmatch(name) is not None


def only_numbers(event: Event) -> bool:
    """Whether all that an event was given are numbers, as such or packed into bytes."""
    return not event.kwargs and _are_numbers(event.args, event.known)


def _are_numbers(items: Any, known: str) -> bool:
    packed = known in _PACKED
    for item in items:
        if type(item) is Event and item.known == "numpy.dtype" and known.startswith("numpy.") and _is_numeric(item):
            packed = True
        elif type(item) is tuple:
            if not _are_numbers(item, known):
                return False
        elif not (type(item) in _NUMBERS or (packed and isinstance(item, (bytes, str)))):
            return False
    return True


_NUMBERS = frozenset((int, float, bool, type(None)))
