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
"""Values given again in a container that is as it was, which cost what one costs that has to be resolved."""
_REMEMBERED = 1 << 24
"""Characters of texts that are kept as decoded: names of attributes come again and again by the memo."""
_PLAIN = frozenset((float, type(None), bool))


def _no_note(_code: str, _offset: int, _message: str) -> None:
    """What a closed resolver notes goes nowhere."""


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
        self._open: list[int] = []
        self._sizes: dict[int, int] = {}
        """Of each container of a call: the values in it and in those that it holds, each time they are held."""
        self._spent = 0
        self._most = limits.max_arguments + len(data)

    def close(self) -> None:
        """Let go of what was decoded, of the bytes, and of the record, which refers back to this."""
        self.data = b""
        self.note = _no_note
        for kept in (self._texts, self._flat, self._sizes):
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

    def resolve(self, value: Any, *, whole: bool = True) -> Any:
        """``value`` with each literal as its Python value; raises Retrace where items were dropped.

        Unless ``whole``, of a container of many numbers only the first are kept, and of what was passed over the texts.
        """
        kind = type(value)
        if kind is float:
            return opcodes.number(self.data, int(value))
        if kind is int:
            return self._literal(value, whole=whole)
        if kind in CONTAINERS:
            self._sizes.clear()
            return self._container(value, {}, whole=whole) if value or kind is not tuple else value
        return value.value if kind is Known else value

    def spend(self, count: int) -> None:
        """Count values that calls are given; raises Exhausted."""
        self._spent += count
        if self._spent > self._most:
            raise Exhausted(f"calls are given more than {self._most:,} values in containers")

    def _literal(self, pos: int, *, whole: bool) -> Any:
        text = self.text(pos)
        if whole and self.data[pos] == opcodes.BYTEARRAY:
            self.changes.flow(text)
        return text

    def _container(self, value: Any, done: dict[int, Any], *, whole: bool) -> Any:
        """A container with its items resolved, once for all that hold it; ``done`` has those of this call, or None."""
        kind, size = type(value), len(value)
        kept = self._flat.get((id(value), whole))
        known = kept is not None and kept[0] == size
        self.spend(size // _CHEAP if known else size)
        if kept is not None and known:
            self._sizes[id(value)] = size
            return kept[2]
        if len(self._open) > _DEEP:
            self.note("limit.depth", 0, f"arguments are nested more than {_DEEP} deep")
            return Unresolved("nesting", 0)
        items, large = value, size > _FEW
        if large and not whole and _PLAIN.issuperset(map(type, value)):
            items = value[:_FEW]
        key = id(value)
        done[key] = None
        self._open.append(key)
        data, texts, sizes, found = self.data, self._texts, self._sizes, list[Any]()
        unfolded = size
        add = found.append
        for item in items:
            one = type(item)
            if one is int:
                text = texts.get(item)
                add(self._literal(item, whole=whole) if text is None or whole else text)
            elif one is float:
                add(opcodes.number(data, int(item)))
            elif one in CONTAINERS:
                inner = id(item)
                known = done.get(inner, self)
                if known is self:
                    known = self._container(item, done, whole=whole)
                else:
                    self.spend(sizes.get(inner, 1))
                unfolded += sizes.get(inner, 1)
                add(Unresolved("nesting", 0) if known is None else known)
            elif one is Run:
                if whole:
                    raise Retrace
                found += self._literals(item, pairs=kind is Dict and len(found) % 2 == 0)
            else:
                add(item.value if one is Known else item)
        self._open.pop()
        result = found if kind is list else kind(found)
        done[key], sizes[key] = result, unfolded
        if whole and kind is not tuple:
            self.changes.copy(value, result)
        # Containers only grow, so one of the same size is the same, unless it holds others that grow.
        if large and CONTAINERS.isdisjoint(map(type, value)):
            self._flat[key, whole] = (size, value, result)
        return result

    def _literals(self, run: Run, *, pairs: bool) -> list[Any]:
        """The texts and the first numbers of a run, as keys in a dict if it stands where one is looked for."""
        found = [self.resolve(one, whole=False) for one in run.literals(self.data)]
        self.spend(len(found))
        if not pairs:
            return found
        return [part for one in found for part in (one, None)][:-1] if found else [None]
