"""What becomes of each event's result, and how long the chain of results behind it is."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Any

from picklegate.pickles.values import CONTAINERS, Event

_HOLDERS = CONTAINERS | {Event}
_SEARCHED = 10_000
"""Containers of the result that are searched for events."""


def settle(events: Iterable[Event], result: Any) -> None:
    """Fill in ``depth``, ``given``, ``stored`` and ``kept`` of a stream's events, in the order they were recorded.

    Each container is looked at once for each way of use, however many events share it. Of the result the outermost
    containers are searched, for a load may return millions.
    """
    recorded = {id(event): event for event in events}
    if not recorded:
        return
    depths = dict.fromkeys(recorded, 1)
    given: set[int] = set()
    stored: set[int] = set()
    for event in recorded.values():
        if type(event.callee) not in _HOLDERS and not event.kwargs and _HOLDERS.isdisjoint(map(type, event.args)):
            continue
        parts = (event.callee, event.args, event.kwargs)
        depth = max((_depth(part, depths) for part in parts if part), default=0)
        if not depth:
            continue
        depths[id(event)] = event.depth = 1 + depth
        state = event.kind == "state"
        for inner in _events(parts[1:], recorded, stored if state else given):
            if state:
                inner.stored = True
            else:
                inner.given = True
    for inner in _events((result,), recorded, set(), _SEARCHED):
        inner.kept = True


def _inner(value: Any) -> Iterable[Any]:
    """What a value holds that may be, or hold, an event; of an event what it is made of."""
    return (value.callee, value.args, value.kwargs) if type(value) is Event else value


def _depth(value: Any, depths: dict[int, int]) -> int:
    """The most events that lie in one another in ``value``; ``depths`` has those of events, and gets containers'."""
    pending = [value] if type(value) in _HOLDERS else []
    opened: set[int] = set()
    while pending:
        item = pending.pop()
        if id(item) in depths:
            continue
        inner = _inner(item)
        held = () if _HOLDERS.isdisjoint(map(type, inner)) else [each for each in inner if type(each) in _HOLDERS]
        unknown = [each for each in held if id(each) not in depths]
        if unknown and id(item) not in opened:
            opened.add(id(item))
            pending.append(item)
            pending.extend(unknown)
        else:
            depths[id(item)] = max((depths.get(id(each), 0) for each in held), default=0)
    return depths.get(id(value), 0)


def _events(
    values: Iterable[Any], recorded: dict[int, Event], seen: set[int], most: float = math.inf
) -> Iterator[Event]:
    """The recorded events in ``values``, in containers too, but not in other events; none that is ``seen`` already.

    The outermost come first; not more than ``most`` values are looked into.
    """
    pending = deque(values)
    while pending and len(seen) < most:
        item = pending.popleft()
        if type(item) not in _HOLDERS or id(item) in seen:
            continue
        seen.add(id(item))
        if id(item) in recorded:
            yield item
        else:
            inner = _inner(item)
            if not _HOLDERS.isdisjoint(map(type, inner)):
                pending.extend([each for each in inner if type(each) in _HOLDERS])
