"""Abstract values -> Python values: literals are decoded when somebody asks for them, and once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from picklegate.limits import Limits
from picklegate.pickles import opcodes
from picklegate.pickles.budget import Exhausted, Retrace
from picklegate.pickles.mutation import Changes
from picklegate.pickles.opcodes import Buffer
from picklegate.pickles.values import CONTAINERS, Dict, Known, Run, Unresolved

_DEEP = 200
"""Containers in containers that an argument is read to."""
_FEW = 16
"""Numbers that are kept of a long run of them."""
_CHEAP = 4
"""Values given again in a container that is as it was, which cost what one costs that has to be resolved again."""
_REMEMBERED = 1 << 24
"""Characters of texts that are kept as decoded: names of attributes come again and again by the memo."""
_PLAIN = frozenset((float, type(None), bool))


class Resolver:
    """Decodes the values of one stream."""

    def __init__(self, data: Buffer, limits: Limits, changes: Changes, note: Callable[[str, int, str], None]) -> None:
        """Begin with nothing decoded."""
        self.data = data
        self.limits = limits
        self.changes = changes
        self.note = note
        self.skips: dict[int, int] = {}
        self._texts: dict[int, Any] = {}
        self._remembered = 0
        self._flat: dict[tuple[int, bool], tuple[int, Any, Any]] = {}
        self._nested: dict[tuple[int, bool], tuple[int, Any, Any]] = {}
        self._sizes: dict[int, tuple[int, Any]] = {}
        self._open: set[int] = set()
        self._again = 0

    def close(self) -> None:
        """Let go of what was decoded, and of the bytes."""
        self.data = b""
        for kept in (self._texts, self._flat, self._nested, self._sizes):
            kept.clear()

    def text(self, pos: int) -> Any:
        """The text or bytes literal at ``pos``."""
        value = self._texts.get(pos)
        if value is None:
            value = opcodes.literal(self.data, pos, self.limits.max_literal_bytes)
            self._remembered += len(value)
            if self._remembered > _REMEMBERED:
                self._texts.clear()
                self._remembered = len(value)
            self._texts[pos] = value
        return value

    def resolve(self, value: Any, deep: int = 0, *, whole: bool = True) -> Any:
        """``value`` with each literal as its Python value; raises Retrace where items were dropped.

        Unless ``whole``, of a container of many numbers only the first are kept, and of what was passed over the texts.
        """
        kind = type(value)
        if kind is float:
            return opcodes.literal(self.data, int(value), self.limits.max_literal_bytes)
        if kind is int:
            text = self.text(value)
            if whole and self.data[value] == opcodes.BYTEARRAY:
                self.changes.flow(text)
            return text
        if kind is Known:
            return value.value
        if kind not in CONTAINERS:
            return value
        if deep > _DEEP or id(value) in self._open:
            if deep > _DEEP:
                self.note("limit.depth", 0, f"arguments are nested more than {_DEEP} deep")
            return Unresolved("nesting", 0)
        return self._container(value, deep, whole=whole)

    def _container(self, value: Any, deep: int, *, whole: bool) -> Any:
        """A container with its items resolved; what was resolved before is not resolved again while it is as it was."""
        kind, size = type(value), len(value)
        if not deep:
            self._nested.clear()
        key = (id(value), whole)
        known = self._flat.get(key) or self._nested.get(key)
        fresh = known is None or known[0] != size
        self._again += self._sizes.get(id(value), (0, value))[0] if fresh else size // _CHEAP
        if self._again > self.limits.max_arguments:
            raise Exhausted(f"calls are given more than {self.limits.max_arguments:,} values again")
        if known is not None and not fresh:
            return known[2]
        self._sizes[id(value)] = (size, value)
        kinds = set(map(type, value))
        items = value[:_FEW] if not whole and size > _FEW and _PLAIN.issuperset(kinds) else value
        if Run in kinds:
            if whole:
                raise Retrace
            items = self._opened(items)
        self._open.add(id(value))
        resolve = self.resolve
        result = kind([resolve(item, deep + 1, whole=whole) for item in items])
        self._open.discard(id(value))
        if whole and kind is not tuple:
            self.changes.copy(value, result)
        # Containers only grow, so one of the same size is the same, unless it holds others that grow.
        cache = self._flat if size > _FEW and CONTAINERS.isdisjoint(kinds) else self._nested
        cache[key] = (size, value, result)
        return result

    def _opened(self, items: Any) -> list[Any]:
        """The items with the texts of each run in its place, as keys in a dict."""
        found: list[Any] = []
        pairs = type(items) is Dict
        for at, item in enumerate(items):
            if type(item) is not Run:
                found.append(item)
                continue
            texts: list[Any] = list(item.texts(self.data))
            self._again += len(texts)
            if pairs and at % 2 == 0:
                texts = [part for text in texts for part in (text, None)][:-1] if texts else [None]
            found.extend(texts)
        return found
