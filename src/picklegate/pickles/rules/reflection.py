"""Attributes and items that a stream reads or writes by calls: what they lead to is named, whatever the detour.

A rule takes the record and the event of the call and returns the value that results, None where only the call is known.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from picklegate.pickles import implicit_calls
from picklegate.pickles.values import Dict, Event, Global, Set, Unresolved

if TYPE_CHECKING:
    from picklegate.pickles.rules.protocol import Effects, Rule

SPREAD = 64
"""Items that map and its kin are followed over."""
TYPES: dict[Any, str] = {str: "str", bytes: "bytes", Dict: "dict", list: "list", tuple: "tuple", Set: "set"}


def again(effects: Effects, event: Event, callee: Any, args: Any, kwargs: Any = None) -> Any:
    """Record a call that the call of ``event`` makes."""
    return effects.apply("call", event.opcode, event.offset, callee, args, kwargs, event.known or event.name)


def bound(event: Event, function: Any, *args: Any, kwargs: Dict | None = None) -> Event:
    """``functools.partial(function, *args)``, not recorded."""
    return Event("call", event.opcode, event.offset, function, "functools.partial", (function, *args), kwargs or Dict(),
                 known="functools.partial")  # fmt: skip


def attribute(effects: Effects, event: Event, target: Any, name: Any) -> Any:
    """``getattr(target, name)``."""
    if not isinstance(name, str) or name.count(".") > SPREAD:
        return Unresolved("attribute", event.offset)
    via = event.known.rpartition(".")[2] or "getattr"
    for step in name.split("."):
        if type(target) is Global:
            path = f"{target.name}.{step}" if target.name else step
            target = effects.global_(event.offset, target.module, path, via)
        elif type(target) is Event:
            target = _of_result(effects, event, target, step, via)
        elif isinstance(target, (str, bytes, Dict, list, tuple, Set)):
            method = effects.global_(event.offset, "builtins", f"{TYPES.get(type(target), 'str')}.{step}", via)
            target = bound(event, method, target)
        else:
            return Unresolved(f"attribute {step}", event.offset)
    return target


def _of_result(effects: Effects, event: Event, target: Event, step: str, via: str) -> Any:
    """An attribute of what a call resulted in."""
    if target.known == "functools.partial" and step in _OF_PARTIAL:
        return _OF_PARTIAL[step](target) if target.args else Unresolved(f"attribute {step}", event.offset)
    if step == "__call__":
        return target
    owner = target.callee
    if type(owner) is not Global or target.known.startswith("pyarrow.lib."):
        return Unresolved(f"attribute {step}", event.offset)
    effects.changes.hand((target,))
    found = Global(
        owner.module, f"{owner.name}().{step}", event.offset, via, f"{owner.known}().{step}", of_instance=True
    )
    if target.kind == "construct" or owner.known.rpartition(".")[2].lstrip("_")[:1].isupper():
        found.rule = _method_of(target, step)
    return found


_OF_PARTIAL: dict[str, Callable[[Event], Any]] = {
    "__call__": lambda made: made,
    "func": lambda made: made.args[0],
    "__func__": lambda made: made.args[0],
    "args": lambda made: made.args[1:],
    "keywords": lambda made: Dict(made.kwargs),
    "__self__": lambda made: made.args[1] if len(made.args) > 1 else Unresolved("attribute __self__", made.offset),
}
"""Attributes of a partial and of a bound method -> what they are."""


def _method_of(target: Event, step: str) -> Rule:
    """The rule for calling a method of an instance: the function of its class is called with it."""

    def rule(effects: Effects, event: Event) -> Any:
        event.reached = True
        if target.written or (target.kwargs and not target.unresolved):
            # It may be an attribute that the state, or a keyword, gave to the instance.
            return again(effects, event, Unresolved("attribute", event.offset), event.args, event.kwargs or None)
        owner = target.callee
        method = effects.global_(event.offset, owner.module, f"{owner.name}.{step}" if owner.name else step)
        return again(effects, event, method, (target, *event.args), event.kwargs or None)

    return rule


def _call_alias(key: Any) -> Rule:
    """The rule for calling ``typing.X[key]``: ``Annotated`` and its kin call what they stand for."""
    inner = key[0] if isinstance(key, tuple) and key else key

    def rule(effects: Effects, event: Event) -> Any:
        return again(effects, event, inner, event.args) if type(inner) in (Global, Event) else None

    return rule


def item(effects: Effects, event: Event, target: Any, key: Any) -> Any:
    """``target[key]``."""
    if type(target) is Global:
        return _item_of_global(effects, event, target, key)
    if type(target) is Event and target.known in _NAMESPACES:
        if key == "__builtins__":
            return effects.global_(event.offset, "builtins", "", "globals")
        if target.args:
            return attribute(effects, event, target.args[0], key)
    if type(target) is Event and target.known == "collections.defaultdict" and target.args:
        made = again(effects, event, target.args[0], ())
        return Unresolved("item", event.offset) if target.written or target.args[1:] or target.kwargs else made
    if type(target) is Dict:
        found = target.last(key)
        return Unresolved("item", event.offset) if found is None else found[0]
    if isinstance(target, (str, bytes, list, tuple)) and type(target) is not Set:
        try:
            return target[key]
        except (IndexError, TypeError, ValueError):
            pass
    return Unresolved("item", event.offset)


def _item_of_global(effects: Effects, event: Event, target: Global, key: Any) -> Any:
    """An item of what is reached by name: a namespace, or an alias of typing."""
    if target.known.startswith("typing."):
        return Global(target.module, target.name, target.offset, target.via, target.known, _call_alias(key))
    if isinstance(key, str):
        if target.known == "sys.modules":
            return effects.global_(event.offset, key, "", "sys.modules")
        owner, _, last = target.known.rpartition(".")
        if last == "__dict__":
            return attribute(effects, event, effects.global_(event.offset, owner, "", "__dict__"), key)
    return Unresolved("item", event.offset)


_NAMESPACES = frozenset(("builtins.vars", "builtins.globals", "builtins.locals"))

_DILL_SETTER = ("dill._dill", "_setattr", "builtins.setattr")
"""What dill asks for to fill cells: its own version in Pythons before 3.7, setattr in later ones."""


def _getattr(effects: Effects, event: Event) -> Any:
    if len(event.args) < 2:
        return None
    if len(event.args) > 2:
        module, name, default = event.args[0], event.args[1], event.args[2]
        if type(module) is type(default) is Global and (module.dotted, name, default.known) == _DILL_SETTER:
            event.known = "dill._get_attr"
            return default
        return Unresolved("attribute with a default", event.offset)
    return attribute(effects, event, event.args[0], event.args[1])


def _getitem(effects: Effects, event: Event) -> Any:
    if len(event.args) < 2:
        return None
    if _is_generic(event.args[0]) and type(event.args[1]) is Global:
        event.reached, event.made_class = True, True  # methods of the class may run
        return event.args[0]
    found = item(effects, event, *event.args[:2])
    absent = type(found) is Unresolved or type(event.args[0]) is Global
    return Unresolved("item with a default", event.offset) if event.args[2:] and absent else found


def _is_generic(value: Any) -> bool:
    """Whether a value is a class that the stream makes: ``Box[int]`` makes the same instances as ``Box``."""
    return type(value) is Event and value.known in _CLASS_MAKERS


_CLASS_MAKERS = ("cloudpickle._make_skeleton_class", "types.new_class", "dill._create_type")


def _setattr(effects: Effects, event: Event) -> Any:
    """``setattr(target, name, value)`` is a state write."""
    if len(event.args) > 2:
        state_write(effects, event, event.args[0], Dict(event.args[1:3]))
    return None


def _setitem(effects: Effects, event: Event) -> Any:
    """``operator.setitem(target, key, value)``: a state write, or a container that is not as it was."""
    effects.changes.hand(event.args)
    if len(event.args) > 2 and type(event.args[0]) in (Global, Event):
        state_write(effects, event, event.args[0], Dict(event.args[1:3]))
    return None


def state_write(effects: Effects, event: Event, target: Any, state: Dict) -> None:
    """Make the event of a call the state write that it is."""
    target = implicit_calls.shared(target)
    event.kind, event.opcode, event.callee, event.args = "state", "BUILD", target, (state,)
    event.unresolved = target.unresolved if type(target) is Event else type(target) is not Global
    event.name = "unresolved" if event.unresolved else target.dotted if type(target) is Global else target.name
    event.known = getattr(target, "known", "")
    if type(target) is Event:
        target.written = True
        target.holds = target.holds or implicit_calls.callable_in(state[1:])
    written(effects, target, event)


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
    "builtins.setattr": _setattr,
    "builtins.type.__setattr__": _setattr,
    "builtins.object.__setattr__": _setattr,
    "operator.setitem": _setitem,
    "operator.__setitem__": _setitem,
    "builtins.dict.__setitem__": _setitem,
    "builtins.dict.setdefault": _setitem,
}

SETTING = (_setattr, _setitem)
"""Rules of state writes."""

EMPTY: dict[str, type] = {
    "collections.OrderedDict": Dict,
    "builtins.dict": Dict,
    "builtins.list": list,
    "builtins.set": Set,
}
"""Callables that without arguments make a plain container, whose items are then followed."""

REACHING = (_getattr, _getitem)
"""Rules whose result is an object reached by name."""


def written(effects: Effects, target: Any, event: Event) -> None:
    """Follow a state write: names overwritten on a module or class, which later imports find, a partial's function."""
    state = event.args[0] if event.args else None
    if type(target) is Event and target.known == "io.BytesIO" and type(state) is tuple and state:
        target.args = state[:1]
        if state[1:2] != (0,):
            effects.changes.hand((target,))
    if type(target) is Event and target.known in ("functools.partial", "types.PartialType"):
        _repartial(event, target, state)
    if type(target) is not Global:
        return
    parts = state if type(state) is tuple else (state,)
    pairs = event.args if event.opcode in ("SETITEM", "SETITEMS") else [x for p in parts if type(p) is Dict for x in p]
    owner = target.known.removesuffix(".__dict__")
    for name, value in zip(pairs[::2], pairs[1::2], strict=False):
        if isinstance(name, str) and type(value) in (Global, Event):
            effects.aliases[name if target.known == "sys.modules" else f"{owner}.{name}"] = value


def _repartial(event: Event, target: Event, state: Any) -> None:
    """``partial.__setstate__((function, args, keywords, attributes))``: it calls something else from now on."""
    if type(state) is Dict or event.opcode != "BUILD":
        return
    known = type(state) is tuple and len(state) == 4 and isinstance(state[1], (tuple, list))
    if not known:
        target.args, target.kwargs = (Unresolved("state", event.offset),), Dict()
        return
    target.args = (state[0], *state[1])
    target.kwargs = state[2] if type(state[2]) is Dict else Dict(() if state[2] is None else ("**", state[2]))
    event.reached = not any(state[3:])  # what it holds now is judged as if it had been made with it
