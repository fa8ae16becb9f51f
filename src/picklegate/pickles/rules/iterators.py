"""Iterators over what a stream holds: calls that do nothing, and what iterating over their results gives."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from picklegate.pickles import implicit_calls
from picklegate.pickles.values import Dict, Event, Set

if TYPE_CHECKING:
    from picklegate.pickles.rules.protocol import Effects, Rule

_PLAIN_KEYS = frozenset((str, bytes, int, bool, type(None)))
_MOST = 10_000
"""Items that an iterator is followed over."""


def items_of(effects: Effects, value: Any) -> list[Any] | None:
    """What iterating over a resolved value gives, None where that cannot be told; an iterator is used up by that."""
    if type(value) is Dict:
        keys = value[::2]
        return list(dict.fromkeys(keys)) if _PLAIN_KEYS.issuperset(map(type, keys)) else None
    if isinstance(value, (str, bytes, list, tuple)):
        return list(value)
    if type(value) is not Event or value.known not in _FOLLOWED or value.written or value.kwargs:
        return None
    if effects.changes.gave(value) or effects.changes.doubt(value.args):
        return None
    found = _FOLLOWED[value.known](effects, value.args)
    effects.changes.hand((value,))
    return found if found is None or len(found) <= _MOST else None


def _one(effects: Effects, args: tuple[Any, ...]) -> list[Any] | None:
    return items_of(effects, args[0]) if len(args) == 1 else None


def _reversed(effects: Effects, args: tuple[Any, ...]) -> list[Any] | None:
    found = _one(effects, args)
    return None if found is None or type(args[0]) in (Event, Set) else found[::-1]


def _enumerate(effects: Effects, args: tuple[Any, ...]) -> list[Any] | None:
    start = args[1] if len(args) > 1 else 0
    found = items_of(effects, args[0]) if args and type(start) is int else None
    return None if found is None else list(enumerate(found, start))


def _zip(effects: Effects, args: tuple[Any, ...]) -> list[Any] | None:
    columns = [items_of(effects, arg) for arg in args]
    return None if any(column is None for column in columns) else list(zip(*columns, strict=False))


def _chain(effects: Effects, args: tuple[Any, ...]) -> list[Any] | None:
    parts = [items_of(effects, arg) for arg in args]
    return None if any(part is None for part in parts) else [item for part in parts if part for item in part]


_FOLLOWED = {
    "builtins.iter": _one,
    "builtins.reversed": _reversed,
    "builtins.enumerate": _enumerate,
    "builtins.zip": _zip,
    "itertools.chain": _chain,
}
"""Callables whose result is an iterator that is followed -> what it gives."""


def inert(_effects: Effects, event: Event) -> Any:
    """A call whose result only iterates over what it is given: it does nothing, and nothing in it could be called."""
    event.reached = not implicit_calls.callable_in((*event.args, *event.kwargs))


def _collect(kind: type[list[Any] | tuple[Any, ...]]) -> Rule:
    """``list(items)`` and ``tuple(items)``, where the items can be told."""

    def rule(effects: Effects, event: Event) -> Any:
        if not event.args and not event.kwargs:
            return kind()
        if len(event.args) != 1 or event.kwargs or type(event.args[0]) is Set:
            return None
        found = items_of(effects, event.args[0])
        return None if found is None else kind(found)

    return rule


_ITERATORS = (
    "builtins.enumerate", "builtins.reversed", "builtins.zip", "builtins.range", "itertools.chain", "itertools.count",
    "itertools.chain.from_iterable", "itertools.combinations", "itertools.combinations_with_replacement",
    "itertools.compress", "itertools.cycle", "itertools.islice", "itertools.pairwise", "itertools.permutations",
    "itertools.product", "itertools.repeat", "itertools.tee", "itertools._tee", "itertools._tee_dataobject",
    "itertools.zip_longest", "itertools.batched", "itertools.izip",
)  # fmt: skip

RULES: dict[str, Rule] = {
    **dict.fromkeys(_ITERATORS, inert),
    "builtins.list": _collect(list),
    "builtins.tuple": _collect(tuple),
}
"""Canonical names -> the rule, as protocol.py defines them."""
