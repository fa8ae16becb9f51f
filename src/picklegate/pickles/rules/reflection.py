"""Calls whose result static reading can tell: what finally gets called is named, whatever the detour.

A rule takes the record and the event of the call and returns the value that results, None where only the call is known.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from picklegate.pickles import implicit_calls
from picklegate.pickles.values import Dict, Event, Global, Set, Unresolved

if TYPE_CHECKING:
    from picklegate.pickles.rules.protocol import Effects, Rule

_SPREAD = 64
"""Items that map and its kin are followed over."""


def attribute(effects: Effects, event: Event, target: Any, name: Any) -> Any:
    """``getattr(target, name)``."""
    if not isinstance(name, str) or name.count(".") > _SPREAD:
        return Unresolved("attribute", event.offset)
    via = event.known.rpartition(".")[2] or "getattr"
    for step in name.split("."):
        if type(target) is Global:
            path = f"{target.name}.{step}" if target.name else step
            target = effects.global_(event.offset, target.module, path, via)
        elif type(target) is Event and type(target.callee) is Global and not target.known.startswith("pyarrow.lib."):
            owner = target.callee
            effects.changes.hand((target,))
            target = Global(owner.module, f"{owner.name}().{step}", event.offset, via, f"{owner.known}().{step}")
        elif isinstance(target, (str, bytes, Dict, list, tuple, Set)):
            method = effects.global_(event.offset, "builtins", f"{TYPES.get(type(target), 'str')}.{step}", via)
            target = _bound(event, method, target)
        else:
            return Unresolved(f"attribute {step}", event.offset)
    return target


def _call_alias(key: Any) -> Rule:
    """The rule for calling ``typing.X[key]``: ``Annotated`` and its kin call what they stand for."""
    inner = key[0] if isinstance(key, tuple) and key else key

    def rule(effects: Effects, event: Event) -> Any:
        return _again(effects, event, inner, event.args) if type(inner) in (Global, Event) else None

    return rule


TYPES: dict[Any, str] = {str: "str", bytes: "bytes", Dict: "dict", list: "list", tuple: "tuple", Set: "set"}


def _bound(event: Event, function: Any, *args: Any, kwargs: Dict | None = None) -> Event:
    """``functools.partial(function, *args)``, not recorded."""
    return Event("call", event.opcode, event.offset, function, "functools.partial", (function, *args), kwargs or Dict(),
                 known="functools.partial")  # fmt: skip


def item(effects: Effects, event: Event, target: Any, key: Any) -> Any:
    """``target[key]``."""
    if type(target) is Global and target.known.startswith("typing."):
        return Global(target.module, target.name, target.offset, target.via, target.known, _call_alias(key))
    if type(target) is Global and isinstance(key, str):
        if target.known == "sys.modules":
            return effects.global_(event.offset, key, "", "sys.modules")
        if target.name == "__dict__" or target.name.endswith(".__dict__"):
            owner = effects.global_(
                event.offset, target.module, target.name[: -len("__dict__")].rstrip("."), "__dict__"
            )
            return attribute(effects, event, owner, key)
    if type(target) is Event and target.known in _NAMESPACES:
        if key == "__builtins__":
            return effects.global_(event.offset, "builtins", "", "globals")
        if target.args:
            return attribute(effects, event, target.args[0], key)
    if type(target) is Event and target.known == "collections.defaultdict" and target.args:
        return _again(effects, event, target.args[0], ())
    if type(target) is Dict:
        found = target.last(key)
        return Unresolved("item", event.offset) if found is None else found[0]
    if isinstance(target, (str, bytes, list, tuple)):
        try:
            return target[key]
        except (IndexError, TypeError):
            pass
    return Unresolved("item", event.offset)


_NAMESPACES = frozenset(("builtins.vars", "builtins.globals", "builtins.locals"))


_DILL_SETTER = ("dill._dill", "_setattr", "builtins.setattr")
"""What dill asks for to fill cells: its own version in Pythons before 3.7, setattr in later ones."""


def _getattr(effects: Effects, event: Event) -> Any:
    if len(event.args) < 2:
        return None
    if type(event.args[-1]) in (Global, Event) and len(event.args) > 2:
        module, name, default = event.args[0], event.args[1], event.args[2]
        if type(module) is type(default) is Global and (module.dotted, name, default.known) == _DILL_SETTER:
            event.known = "dill._get_attr"
            return default
        return Unresolved("attribute with a default", event.offset)
    return attribute(effects, event, event.args[0], event.args[1])


def _getitem(effects: Effects, event: Event) -> Any:
    return item(effects, event, *event.args[:2]) if len(event.args) > 1 else None


def _again(effects: Effects, event: Event, callee: Any, args: Any, kwargs: Any = None) -> Any:
    return effects.apply("call", event.opcode, event.offset, callee, args, kwargs, event.known or event.name)


def _apply(effects: Effects, event: Event) -> Any:
    return _again(effects, event, event.args[0], *event.args[1:3]) if len(event.args) > 1 else None


def _operator_call(effects: Effects, event: Event) -> Any:
    return _again(effects, event, event.args[0], event.args[1:], event.kwargs) if event.args else None


def _through(position: int, arguments: int | None) -> Rule:
    """A callable that calls its argument ``position`` with those behind it, or with the sequence at ``arguments``."""

    def rule(effects: Effects, event: Event) -> Any:
        if len(event.args) <= position:
            return None
        args = event.args[position + 1 :]
        if arguments is not None:
            args = event.args[arguments] if len(event.args) > arguments else ()
        _again(effects, event, event.args[position], args)
        return None

    return rule


def _iter(effects: Effects, event: Event) -> Any:
    """``iter(callable, sentinel)`` calls it."""
    return _again(effects, event, event.args[0], ()) if len(event.args) > 1 else None


def _same(position: int) -> Rule:
    """A callable that returns one of its arguments, or what stands for it."""

    def rule(_effects: Effects, event: Event) -> Any:
        found = event.args[position] if len(event.args) > position else None
        return found if type(found) in (Global, Event) and Dict not in map(type, event.args) else None

    return rule


_CAST, _UNION = _same(1), _same(0)


def _map(effects: Effects, event: Event) -> Any:
    """map, filter, starmap: lazy, but a sequence type beside them is all it takes to run them."""
    if len(event.args) < 2:
        return None
    callee = event.args[0]
    columns = [column[::2] if type(column) is Dict else column for column in event.args[1:]]
    if all(isinstance(column, (list, tuple, str)) for column in columns):
        for row in list(zip(*columns, strict=False))[:_SPREAD]:
            _again(effects, event, callee, row[0] if event.known == "itertools.starmap" else row)
    else:
        _again(effects, event, callee, (Unresolved("items", event.offset),))
    return None


def _reduce(effects: Effects, event: Event) -> Any:
    if len(event.args) < 2 or not isinstance(event.args[1], (list, tuple)):
        return None
    callee, items, *first = event.args
    values = [*first, *(items[::2] if type(items) is Dict else items)]
    # Each of its calls is an event of its own and judged as such: ``int | None`` is a reduce of operator.or_.
    event.reached = len(values) <= _SPREAD
    values = values[:_SPREAD]
    result = values[0] if values else None
    for value in values[1:]:
        result = effects.resolve(_again(effects, event, callee, (result, value)))
    return result


def _partial(effects: Effects, event: Event) -> Any:
    made = event.callee
    if not made.args:
        return None
    keywords = Dict((*made.kwargs, *event.kwargs))
    # What it calls is an event of its own and judged as such: NEWOBJ_EX below protocol 4, or the blocks of pandas 1.3.
    event.known, made.called = made.known, False
    return _again(effects, event, made.args[0], (*made.args[1:], *event.args), keywords or None)


def _alias(effects: Effects, event: Event) -> Any:
    """``GenericAlias(callee, parameters)(...)`` calls it."""
    made = event.callee
    return _again(effects, event, made.args[0], event.args, event.kwargs or None) if made.args else None


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
    return _again(effects, event, attribute(effects, event, event.args[0], made.args[0]), made.args[1:], made.kwargs)


def _method(_effects: Effects, event: Event) -> Any:
    return _bound(event, *event.args[:2]) if len(event.args) > 1 else None


def _setattr(effects: Effects, event: Event) -> Any:
    """``setattr(target, name, value)`` is a state write."""
    if len(event.args) > 2:
        target, name, value = event.args[:3]
        target = implicit_calls.shared(target)
        event.kind, event.opcode, event.callee, event.args = "state", "BUILD", target, (Dict((name, value)),)
        event.name = target.dotted if type(target) is Global else getattr(target, "name", "unresolved")
        event.known = getattr(target, "known", "")
        if type(target) is Event:
            target.written = True
            target.holds = target.holds or implicit_calls.callable_in((value,))
        written(effects, target, event)
    return None


RULES: dict[str, Rule] = {
    "builtins.getattr": _getattr,
    "builtins.object.__getattribute__": _getattr,
    "builtins.type.__getattribute__": _getattr,
    "types.ModuleType.__getattribute__": _getattr,
    "inspect.getattr_static": _getattr,
    "dill._get_attr": _getattr,
    "numpy.core._internal.recursive_getattr": _getattr,
    "operator.getitem": _getitem,
    "operator.__getitem__": _getitem,
    "builtins.dict.get": _getitem,
    "builtins.dict.__getitem__": _getitem,
    "builtins.dict.pop": _getitem,
    "builtins.list.__getitem__": _getitem,
    "builtins.tuple.__getitem__": _getitem,
    "builtins.apply": _apply,
    "operator.call": _operator_call,
    "operator.__call__": _operator_call,
    "builtins.map": _map,
    "builtins.filter": _map,
    "itertools.starmap": _map,
    "itertools.imap": _map,
    "itertools.takewhile": _map,
    "itertools.dropwhile": _map,
    "itertools.filterfalse": _map,
    "functools.reduce": _reduce,
    "builtins.reduce": _reduce,
    "types.MethodType": _method,
    "typing.cast": _CAST,
    "operator.or_": _UNION,
    **dict.fromkeys(
        ("copy.copy", "copy.deepcopy", "typing.final", "typing.no_type_check", "abc.abstractmethod"), _UNION
    ),
    "builtins.iter": _iter,
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
    "threading.Timer": _through(1, 2),
    "threading.Thread": _through(1, 3),
    "multiprocessing.Process": _through(1, 3),
    "_thread.start_new_thread": _through(0, 1),
    "_thread.start_new": _through(0, 1),
    "contextlib.ExitStack.callback": _through(1, None),
    "contextvars.Context.run": _through(1, None),
    "concurrent.futures.ThreadPoolExecutor.submit": _through(1, None),
    "concurrent.futures.thread.ThreadPoolExecutor.submit": _through(1, None),
    "torch._tensor._rebuild_from_type": _through(0, 2),
    "torch._tensor._rebuild_from_type_v2": _through(0, 2),
    "builtins.setattr": _setattr,
    "builtins.type.__setattr__": _setattr,
    "builtins.object.__setattr__": _setattr,
}

EMPTY: dict[str, type] = {
    "collections.OrderedDict": Dict,
    "builtins.dict": Dict,
    "builtins.list": list,
    "builtins.set": Set,
}
"""Callables that without arguments make a plain container, whose items are then followed."""

APPLIED: dict[str, Rule] = {
    "functools.partial": _partial,
    "operator.attrgetter": _attrgetter,
    "operator.itemgetter": _itemgetter,
    "operator.methodcaller": _methodcaller,
    "types.GenericAlias": _alias,
    "weakref.ref": _referent,
}
"""Callables made by a call -> the rule for calling what was made."""


REACHING = (_CAST, _UNION, _getattr, _getitem, _attrgetter, _itemgetter)
"""Rules whose result is an object reached by name."""


def method_rule(found: Global) -> Rule | None:
    """The rule for calling a method of an object reached by name, where it reads an attribute or an item."""
    owner, _, method = found.name.rpartition(".")
    if method not in _METHODS or f".{found.name}".startswith((".dict.", ".object.", ".type.", ".list.", ".str.")):
        return None
    reader = _METHODS[method]

    def bound(effects: Effects, event: Event) -> Any:
        target = effects.global_(event.offset, found.module, owner, found.via)
        return reader(effects, event, target, event.args[0]) if event.args else None

    return bound


_METHODS = {"__getattribute__": attribute, "__getattr__": attribute, "__getitem__": item, "get": item, "pop": item}


def written(effects: Effects, target: Any, event: Event) -> None:
    """Follow a state write: names overwritten on a module or class, which later imports find, a partial's function."""
    state = event.args[0] if event.args else None
    if type(target) is Event and target.known == "io.BytesIO" and type(state) is tuple and state:
        target.args = state[:1]
        if state[1:2] != (0,):
            effects.changes.hand((target,))
    partial = type(target) is Event and target.known == "functools.partial"
    if partial and type(state) is tuple and len(state) > 1 and isinstance(state[1], (tuple, list)):
        target.args = (state[0], *state[1])
        target.kwargs = Dict(*(part for part in state[2:3] if type(part) is Dict))
        event.reached = not any(state[3:])  # what it holds now is judged as if it had been made with it
    if type(target) is not Global:
        return
    parts = state if type(state) is tuple else (state,)
    pairs = event.args if event.opcode in ("SETITEM", "SETITEMS") else [x for p in parts if type(p) is Dict for x in p]
    owner = target
    if target.known == "sys.modules":
        for name, value in zip(pairs[::2], pairs[1::2], strict=False):
            if isinstance(name, str) and type(value) is Global:
                effects.aliases[name] = value
        return
    if target.name == "__dict__" or target.name.endswith(".__dict__"):
        owner = Global(target.module, "", target.offset, known=target.known[: -len(".__dict__")])
    for name, value in zip(pairs[::2], pairs[1::2], strict=False):
        if isinstance(name, str) and type(value) in (Global, Event):
            effects.aliases[f"{owner.known}.{name}"] = value
