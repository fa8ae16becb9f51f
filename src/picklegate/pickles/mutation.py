"""Containers that a call may have changed, so that what the stream put into them says nothing any more."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from picklegate.pickles.values import Dict, Event, Known, Set

CHANGING = frozenset(("builtins.dict.pop", "builtins.list.pop", "operator.iadd"))
"""Callables with a rule that change what they are given; every other one without a rule may."""

_CHANGING = frozenset((list, Dict, Set))
_HOLDING = _CHANGING | {tuple, Known, Event}
_MOST = 100_000
"""Calls whose arguments are remembered; after more of them every container is in doubt."""


class Changes:
    """Who was given which container of one stream; looked through when a result depends on it, which is rare."""

    def __init__(self) -> None:
        """Begin with nothing handed out."""
        self._handed: list[Iterable[Any]] = []
        self._given: dict[int, Any] = {}
        self._origins: dict[int, tuple[Any, Any]] = {}
        self._fluid: dict[int, bytes] = {}
        self._looked = 0

    def close(self) -> None:
        """Let go of all of it."""
        self.__init__()  # type: ignore[misc]

    def hand(self, values: Iterable[Any]) -> None:
        """Note that a call was given these values and may change them; they are as on the stack, or resolved."""
        if len(self._handed) < _MOST and not _HOLDING.isdisjoint(map(type, values)):
            self._handed.append(values)

    def copy(self, value: Any, result: Any) -> None:
        """Note that ``result`` stands for the container ``value``; both may be the same."""
        self._origins[id(result)] = (value, result)

    def flow(self, data: bytes) -> None:
        """Note that these resolved bytes are a bytearray."""
        self._fluid[id(data)] = data

    def gave(self, event: Event) -> bool:
        """Whether the result of ``event`` was handed on."""
        self._look()
        return id(event) in self._given

    def doubt(self, values: Iterable[Any]) -> bool:
        """Whether something in these resolved values may hold something else when the call is made.

        A list, dict or set, if it was given to another call; a bytearray always, as honest files compute with none.
        """
        if self._fluid and any(id(value) in self._fluid for value in values):
            return True
        pending = [value for value in values if type(value) in _HOLDING]
        seen: set[int] = set()
        while pending:
            item = pending.pop()
            if type(item) is Event or id(item) in seen:
                continue
            seen.add(id(item))
            if type(item) in _CHANGING:
                origin, _ = self._origins.get(id(item), (None, None))
                self._look()
                full = len(self._handed) >= _MOST
                if origin is None or full or id(origin) in self._given or len(origin) != len(item):
                    return True
            pending.extend(inner for inner in item if type(inner) in _HOLDING)
        return False

    def _look(self) -> None:
        """Look through what was handed out since the last time."""
        pending = [value for values in self._handed[self._looked :] for value in values if type(value) in _HOLDING]
        self._looked = len(self._handed)
        while pending:
            item = pending.pop()
            item = item.value if type(item) is Known else self._origins.get(id(item), (item,))[0]
            if type(item) not in _HOLDING or id(item) in self._given:
                continue
            self._given[id(item)] = item
            inner = (*item.args, *item.kwargs) if type(item) is Event else item
            pending.extend(each for each in inner if type(each) in _HOLDING)
