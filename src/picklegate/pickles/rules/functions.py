"""Calls that call what they are given: partial, map, reduce, methods, threads, callbacks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from picklegate.pickles.rules.iterators import inert, items_of
from picklegate.pickles.rules.reflection import SPREAD, again, attribute, bound, item
from picklegate.pickles.values import Dict, Event, Global, Set, Unresolved

if TYPE_CHECKING:
    from picklegate.pickles.rules.protocol import Effects, Rule


def _apply(effects: Effects, event: Event) -> Any:
    return again(effects, event, event.args[0], *event.args[1:3]) if len(event.args) > 1 else None


def _operator_call(effects: Effects, event: Event) -> Any:
    return again(effects, event, event.args[0], event.args[1:], event.kwargs or None) if event.args else None


def _through(position: int, arguments: int | None, keyword: str = "", keyword_arguments: str = "args") -> Rule:
    """A callable that calls its argument ``position`` with those behind it, or with the sequence at ``arguments``."""

    def rule(effects: Effects, event: Event) -> Any:
        args: Any = event.args[position + 1 :]
        if arguments is not None:
            args = event.args[arguments] if len(event.args) > arguments else _keyword(event, keyword_arguments, ())
        callee = event.args[position] if len(event.args) > position else _keyword(event, keyword, None)
        if callee is not None:
            again(effects, event, callee, args)
        return None

    return rule


def _keyword(event: Event, name: str, default: Any) -> Any:
    """What an event is given by the keyword ``name``; unresolved where it is given keywords that cannot be told."""
    given = dict(zip(event.kwargs[::2], event.kwargs[1::2], strict=False)) if name and event.kwargs else {}
    return given.get(name, Unresolved("keywords", event.offset) if "**" in given else default)


def _keyed(effects: Effects, event: Event) -> Any:
    """``sorted``, ``min``, ``max``, ``list.sort``, ``groupby``: they call what they are given as ``key``."""
    key = _keyword(event, "key", None)
    if event.known == "itertools.groupby" and len(event.args) > 1:
        key = event.args[1]
    if key is not None:
        _each(
            effects, event, key, event.args[:1] if event.known != "builtins.max" or len(event.args) == 1 else event.args
        )
    if event.known == "builtins.list.sort":
        effects.changes.hand(event.args)
    return None


def _iter(effects: Effects, event: Event) -> Any:
    """``iter(callable, sentinel)`` calls it; of one argument it is an iterator."""
    if len(event.args) > 1:
        return again(effects, event, event.args[0], ())
    return inert(effects, event)


def _each(effects: Effects, event: Event, callee: Any, columns: Sequence[Any], *, spread: bool = False) -> None:
    """Record the calls of ``callee`` with the items of the columns; ``spread`` as arguments of their own."""
    read = [items_of(effects, column) for column in columns]
    rows = [] if any(column is None for column in read) else list(zip(*read, strict=False))
    for row in rows[:SPREAD]:
        again(effects, event, callee, row[0] if spread else row)
    if rows[SPREAD:]:
        again(effects, event, callee, (rows[SPREAD:],))
    elif any(column is None for column in read):
        again(effects, event, callee, (Unresolved("items", event.offset),))


def _map(effects: Effects, event: Event) -> Any:
    """map, filter, starmap: lazy, but a sequence type beside them is all it takes to run them."""
    if len(event.args) > 1 and event.args[0] is None:
        return inert(effects, event)
    if len(event.args) > 1:
        _each(effects, event, event.args[0], event.args[1:], spread=event.known == "itertools.starmap")
    return None


def _reduce(effects: Effects, event: Event) -> Any:
    if len(event.args) < 2:
        return None
    callee, items, *first = event.args
    read = None if type(items) is Set else items_of(effects, items)
    if read is None or len(read) > SPREAD:
        return again(effects, event, callee, (Unresolved("items", event.offset), Unresolved("items", event.offset)))
    # Each of its calls is an event of its own and judged as such: ``int | None`` is a reduce of operator.or_.
    event.reached = True
    return _folded(effects, event, callee, [*first, *read])


def _folded(effects: Effects, event: Event, callee: Any, values: list[Any]) -> Any:
    """The result of ``callee(callee(first, second), third)`` and so on."""
    result = values[0] if values else None
    for value in values[1:]:
        result = effects.resolve(again(effects, event, callee, (result, value)))
    return result


def _accumulate(effects: Effects, event: Event) -> Any:
    """``accumulate(items, function)`` calls it as reduce does."""
    function = event.args[1] if len(event.args) > 1 else _keyword(event, "func", None)
    if function is None:
        return inert(effects, event)
    read = items_of(effects, event.args[0])
    first = _keyword(event, "initial", None)
    if read is None or len(read) > SPREAD:
        read = [Unresolved("items", event.offset)] * 2
    _folded(effects, event, function, read if first is None else [first, *read])
    return None


def _next(effects: Effects, event: Event) -> Any:
    """``next(iterator)``: the first item of one that is new."""
    found = items_of(effects, event.args[0]) if event.args and type(event.args[0]) is Event else None
    return found[0] if found else Unresolved("items", event.offset)


def _partial(effects: Effects, event: Event) -> Any:
    made = event.callee
    if not made.args:
        return None
    keywords = Dict((*made.kwargs, *event.kwargs))
    # What it calls is an event of its own and judged as such: NEWOBJ_EX below protocol 4, or the blocks of pandas 1.3.
    event.known, made.called = made.known, False
    rest = list(event.args)
    first = [rest.pop(0) if _is_placeholder(arg) and rest else arg for arg in made.args[1:]]
    return again(effects, event, made.args[0], (*first, *rest), keywords or None)


def _is_placeholder(value: Any) -> bool:
    """Whether an argument of partial stands for one that comes later (Python 3.14)."""
    return type(value) is Global and value.known == "functools.Placeholder"


def _alias(effects: Effects, event: Event) -> Any:
    """``GenericAlias(callee, parameters)(...)`` calls it."""
    made = event.callee
    return again(effects, event, made.args[0], event.args, event.kwargs or None) if made.args else None


def _referent(_effects: Effects, event: Event) -> Any:
    found = event.callee.args[0] if event.callee.args else None
    return found if type(found) in (Global, Event) else None


def _getter(read: Callable[[Effects, Event, Any, Any], Any]) -> Rule:
    """What attrgetter and itemgetter make, called: one thing read for each name or key, a tuple for several."""

    def rule(effects: Effects, event: Event) -> Any:
        wanted = event.callee.args
        if not event.args or not wanted:
            return None
        found = tuple(read(effects, event, event.args[0], one) for one in wanted)
        return found[0] if len(found) == 1 else found

    return rule


_attrgetter, _itemgetter = _getter(attribute), _getter(item)


def _methodcaller(effects: Effects, event: Event) -> Any:
    made = event.callee
    if not event.args or not made.args:
        return None
    method = attribute(effects, event, event.args[0], made.args[0])
    return again(effects, event, method, made.args[1:], made.kwargs or None)


def _method(_effects: Effects, event: Event) -> Any:
    return bound(event, *event.args[:2]) if len(event.args) > 1 else None


def _same(position: int) -> Rule:
    """A callable that returns one of its arguments, or what stands for it."""

    def rule(_effects: Effects, event: Event) -> Any:
        found = event.args[position] if len(event.args) > position else None
        return found if type(found) in (Global, Event) and Dict not in map(type, event.args) else None

    return rule


def _union(_effects: Effects, event: Event) -> Any:
    """``int | None``: a type that nobody calls."""
    event.reached = all(arg is None or type(arg) is Global for arg in event.args)
    return None


def _cache(_effects: Effects, event: Event) -> Any:
    """``functools.lru_cache(function)``, or with its size: what it makes calls the function that it is given."""
    sizes = all(arg is None or isinstance(arg, int) for arg in (*event.args, *event.kwargs[1::2]))
    event.reached = sizes or (len(event.args) == 1 and not event.kwargs)
    return None


def _cached(effects: Effects, event: Event) -> Any:
    """What ``lru_cache`` made, called: the function that it wraps, or the function to wrap."""
    made = event.callee
    held = made.args[0] if made.args else None
    if type(held) in (Global, Event, Unresolved):
        event.known, made.called = made.known, False
        return again(effects, event, held, event.args, event.kwargs or None)
    if len(event.args) != 1 or event.kwargs:
        return None
    event.known, event.name, event.unresolved = "functools.lru_cache", "functools.lru_cache", False
    made.called, event.reached = False, True
    return None


_SAME = _same(0)

RULES: dict[str, Rule] = {
    "builtins.apply": _apply,
    "operator.call": _operator_call,
    "operator.__call__": _operator_call,
    **dict.fromkeys(
        ("builtins.map", "builtins.filter", "itertools.starmap", "itertools.imap", "itertools.ifilter"), _map
    ),
    **dict.fromkeys(("itertools.takewhile", "itertools.dropwhile", "itertools.filterfalse"), _map),
    **dict.fromkeys(
        ("builtins.sorted", "builtins.min", "builtins.max", "builtins.list.sort", "itertools.groupby"), _keyed
    ),
    "functools.reduce": _reduce,
    "builtins.reduce": _reduce,
    "itertools.accumulate": _accumulate,
    "types.MethodType": _method,
    "types.FunctionType.__get__": _method,
    "typing.cast": _same(1),
    "operator.or_": _union,
    **dict.fromkeys(
        ("copy.copy", "copy.deepcopy", "typing.final", "typing.no_type_check", "abc.abstractmethod"), _SAME
    ),
    "builtins.iter": _iter,
    "builtins.next": _next,
    "functools.lru_cache": _cache,
    "functools.cache": _cache,
    "atexit.register": _through(0, None),
    **dict.fromkeys(
        (
            "weakref.finalize",
            "weakref.ref",
            "weakref.proxy",
            "weakref.ReferenceType",
            "weakref.WeakMethod",
            "weakref.KeyedRef",
            "dill._create_weakref",
            "dill._create_weakproxy",
        ),
        _through(1, None),
    ),
    "threading.Timer": _through(1, 2, "function"),
    "threading.Thread": _through(1, 3, "target"),
    "multiprocessing.Process": _through(1, 3, "target"),
    "multiprocessing.context.Process": _through(1, 3, "target"),
    "_thread.start_new_thread": _through(0, 1),
    "_thread.start_new": _through(0, 1),
    "threading._start_new_thread": _through(0, 1),
    "contextlib.ExitStack.callback": _through(1, None),
    "contextvars.Context.run": _through(1, None),
    "concurrent.futures.ThreadPoolExecutor.submit": _through(1, None),
    "concurrent.futures.thread.ThreadPoolExecutor.submit": _through(1, None),
    "torch._tensor._rebuild_from_type": _through(0, 2),
    "torch._tensor._rebuild_from_type_v2": _through(0, 2),
}

APPLIED: dict[str, Rule] = {
    "functools.partial": _partial,
    "types.PartialType": _partial,
    "operator.attrgetter": _attrgetter,
    "operator.itemgetter": _itemgetter,
    "operator.methodcaller": _methodcaller,
    "types.GenericAlias": _alias,
    "weakref.ref": _referent,
    "functools.lru_cache": _cached,
    "functools.cache": _cached,
}
"""Callables made by a call -> the rule for calling what was made."""

REACHING = (RULES["typing.cast"], _SAME, _attrgetter, _itemgetter)
"""Rules whose result is an object reached by name."""
