"""Which argument of a call becomes which parameter of what is called."""

from __future__ import annotations

from collections.abc import Iterable

from picklegate.capabilities.records import NOTHING, Call, Function, Value

_MOST_PLACES = 250


def argument_of(call: Call, function: Function, place: str, shift: int) -> Value:
    """The argument of a call that becomes a parameter of the callee."""
    position = int(place.partition("[")[0])
    name = function.parameters[position] if position < len(function.parameters) else ""
    if name.startswith("**"):
        known = set(function.parameters)
        return _union(value for word, value in call.keywords if word not in known)
    if name.startswith("*"):
        first = len([item for item in function.parameters if not item.startswith("*")]) - function.keyword_only
        return _union(call.args[max(first - shift, 0) :])
    if position >= len([p for p in function.parameters if not p.startswith("*")]) - function.keyword_only:
        return named_argument(call, -1, name)
    return named_argument(call, position - shift, name) if position >= shift else Value(call.callee.mask)


def named_argument(call: Call, position: int, name: str) -> Value:
    """The argument that is given by this name, or at this position."""
    for word, value in call.keywords:
        if word == name:
            return value
    return call.args[position] if 0 <= position < len(call.args) else NOTHING


def _union(values: Iterable[Value]) -> Value:
    found = Value()
    for value in values:
        found = found.joined(value)
    return found


def mask_of(value: Value, *, bare: bool) -> int:
    """The places that a value is made of; with ``bare`` those that it may be itself."""
    return value.bare if bare else value.mask


def place_bit(function: Function, place: str) -> int:
    """The mask of a place of a function, which gets it if it has room; else none."""
    places = function.places
    if place in places:
        return 1 << places.index(place)
    if len(places) >= _MOST_PLACES:
        return 0
    function.places = (*places, place)
    return 1 << len(places)


def narrowed(function: Function, mask: int, key: str) -> int:
    """The places of a mask, each only as far as it holds the key."""
    found = 0
    for at, place in enumerate(function.places):
        if mask >> at & 1:
            found |= place_bit(function, f"{place}[{key}]") if place.isdigit() else 1 << at
    return found
