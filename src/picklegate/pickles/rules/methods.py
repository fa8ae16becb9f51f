"""Methods that a stream calls by a dotted name: of an object reached by name, or of a class with an instance."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from picklegate.pickles.rules.reflection import again, attribute, bound, item, state_write
from picklegate.pickles.values import Dict, Event, Global, Unresolved

if TYPE_CHECKING:
    from collections.abc import Callable

    from picklegate.pickles.rules.protocol import Effects, Rule

_CALLABLE = frozenset((
    "builtins.type", "functools.partial", "functools._lru_cache_wrapper", "operator.attrgetter", "operator.itemgetter",
    "operator.methodcaller", "types.BuiltinFunctionType", "types.BuiltinMethodType", "types.FunctionType",
    "types.GenericAlias", "types.LambdaType", "types.MethodType", "types.MethodWrapperType", "weakref.ref",
    "weakref.ReferenceType", "weakref.WeakMethod",
))  # fmt: skip
"""Classes of which it is known that their instances are called by ``__call__``."""


def call_rule(found: Global, own: Rule | None) -> Rule:
    """The rule for ``X.__call__``: X is called, or the instance that it is given, where X is a class."""

    def rule(effects: Effects, event: Event) -> Any:
        result = own(effects, event) if own is not None and found.known not in _CALLABLE else None
        if event.args and type(event.args[0]) in (Global, Event, Unresolved):
            called = again(effects, event, event.args[0], event.args[1:], event.kwargs or None)
            return called if found.known in _CALLABLE else Unresolved("a method", event.offset)
        return result

    return rule


def method_rule(found: Global) -> Rule | None:
    """The rule for calling a method by its dotted name, where its name tells what it does."""
    owner, _, method = found.name.rpartition(".")
    reader = _METHODS.get(method)
    if reader is None or not (owner or method.startswith("__")):
        return None

    def rule(effects: Effects, event: Event) -> Any:
        return reader(effects, event, effects.global_(event.offset, found.module, owner, found.via))

    return rule


def _read(read: Callable[[Effects, Event, Any, Any], Any]) -> Callable[[Effects, Event, Global], Any]:
    """``owner.get(key)`` of an object, ``Owner.get(instance, key)`` of a class."""

    def method(effects: Effects, event: Event, owner: Global) -> Any:
        if not event.args:
            return None
        if len(event.args) > 1 and not isinstance(event.args[0], (str, bytes, int)):
            found = read(effects, event, event.args[0], event.args[1])
            return Unresolved("item with a default", event.offset) if event.args[2:] else found
        found = read(effects, event, owner, event.args[0])
        return Unresolved("item with a default", event.offset) if event.args[1:] else found

    return method


def _init(effects: Effects, event: Event, owner: Global) -> Any:
    """``Owner.__init__(instance, ...)`` does what making an Owner does."""
    if event.args:
        again(effects, event, owner, event.args[1:], event.kwargs or None)


def _new(effects: Effects, event: Event, owner: Global) -> Any:
    """``Owner.__new__(cls, ...)`` makes a cls: so protocols 2 and 3 write what ``__getnewargs_ex__`` gives."""
    made = event.args[0] if event.args else None
    if type(made) is not Global or not all(_is_class(one.known) for one in (made, owner)):
        return None
    args, kwargs = event.args[1:], event.kwargs or None
    if made.known != owner.known:
        effects.apply("construct", event.opcode, event.offset, owner, args, kwargs, event.known)
    event.reached = True
    return effects.apply("construct", event.opcode, event.offset, made, args, kwargs, event.known)


def _is_class(known: str) -> bool:
    return "." in known and known.rpartition(".")[2].lstrip("_")[:1].isupper()


def _get(_effects: Effects, event: Event, owner: Global) -> Any:
    """``function.__get__(instance)`` is a bound method."""
    return bound(event, owner, event.args[0]) if event.args and event.args[0] is not None else None


def _set(effects: Effects, event: Event, owner: Global) -> Any:
    """``owner.__setitem__(key, value)``, ``Owner.__setattr__(instance, name, value)``."""
    effects.changes.hand(event.args)
    target, *pair = event.args if len(event.args) == 3 else (owner, *event.args)
    if len(pair) == 2 and type(target) in (Global, Event):
        state_write(effects, event, target, Dict(pair))


def _change(effects: Effects, event: Event, owner: Global) -> Any:
    """``sys.path.append(value)``: what it changes is in use by the whole process."""
    effects.changes.hand(event.args)
    if len(event.args) == 1 and not owner.known.startswith("builtins."):
        state = event.args[0] if type(event.args[0]) is Dict else Dict((event.name.rpartition(".")[2], event.args[0]))
        state_write(effects, event, owner, state)


_METHODS: dict[str, Callable[[Effects, Event, Global], Any]] = {
    "__getattribute__": _read(attribute),
    "__getattr__": _read(attribute),
    "__getitem__": _read(item),
    "get": _read(item),
    "pop": _read(item),
    "__init__": _init,
    "__new__": _new,
    "__get__": _get,
    "__setattr__": _set,
    "__setitem__": _set,
    **dict.fromkeys(("append", "extend", "insert", "add", "update", "__ior__", "__iadd__", "appendleft"), _change),
}
"""Last steps of dotted names -> what calling them does."""
