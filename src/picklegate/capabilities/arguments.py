"""Which argument of a call becomes which parameter of what is called."""

from __future__ import annotations

from collections.abc import Iterable

from picklegate.capabilities.records import NOTHING, Call, Function, Value


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
    for word, value in call.keywords:
        if word == name:
            return value
    return call.args[position] if 0 <= position < len(call.args) else NOTHING


def _union(values: Iterable[Value]) -> Value:
    found = Value()
    for value in values:
        found = found.joined(value)
    return found
