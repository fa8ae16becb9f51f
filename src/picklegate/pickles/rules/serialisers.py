"""What helpers of dill and cloudpickle call on behalf of a stream: some call whatever they are given."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from picklegate.pickles.rules.reflection import attribute
from picklegate.pickles.values import Dict, Event, Global, Unresolved

if TYPE_CHECKING:
    from picklegate.pickles.rules.protocol import Effects

_METACLASSES = frozenset((
    "builtins.type", "types.ClassType", "types.TypeType", "abc.ABCMeta", "enum.EnumMeta", "enum.EnumType",
    "typing._TypedDictMeta", "typing._ProtocolMeta", "typing.NamedTupleMeta", "typing.GenericMeta",
    "typing_extensions._TypedDictMeta", "typing_extensions._ProtocolMeta",
))  # fmt: skip


def make_class(effects: Effects, event: Event) -> Any:
    """``dill._create_type(metaclass, *args)`` calls the metaclass, or what stands in its place."""
    effects.changes.hand(event.args)
    metaclass, *args = event.args or (Unresolved("metaclass", event.offset),)
    if type(metaclass) is not Global or metaclass.known not in _METACLASSES:
        _called(effects, event, metaclass, tuple(args))
    return None


def make_skeleton(effects: Effects, event: Event) -> Any:
    """``cloudpickle._make_skeleton_class(metaclass, name, bases, keywords, ...)``, likewise."""
    effects.changes.hand(event.args)
    metaclass = event.args[0] if event.args else None
    if type(metaclass) is Global and metaclass.known not in _METACLASSES:
        _called(effects, event, metaclass, event.args[1:4])
    return None


def _make_array(effects: Effects, event: Event) -> Any:
    """``dill._create_array(f, args, state)`` gives the state to what ``f(*args)`` returns."""
    effects.changes.hand(event.args)
    if len(event.args) > 1:
        _called(effects, event, event.args[0], event.args[1])
    return None


def _make_partial(effects: Effects, event: Event) -> Any:
    """``dill._create_ftype(f, first, args, kwargs)`` is ``f(first, *args, **kwargs)``."""
    if len(event.args) != 4:
        return None
    callee, first, args, kwargs = event.args
    if type(args) not in (tuple, list, type(None)) or type(kwargs) not in (Dict, type(None)):
        return Unresolved("arguments", event.offset)
    return _called(effects, event, callee, (first, *(args or ())), kwargs or None)


def _make_namedtuple(effects: Effects, event: Event) -> Any:
    """``dill._create_namedtuple(name, fields, module)`` is what the module has by that name, if anything."""
    if len(event.args) < 3:
        return None
    name, module = event.args[0], event.args[2]
    if not isinstance(name, str) or not isinstance(module, str):
        return Unresolved("import", event.offset)
    return effects.global_(event.offset, module, name, event.known)


def _get_slot(effects: Effects, event: Event) -> Any:
    """``dill._getattr(cls, name, repr)`` evaluates a part of the text, which for honest files names the class."""
    if len(event.args) != 3 or not all(isinstance(part, str) for part in event.args[1:]):
        return None
    owner, name, text = event.args
    told = _SLOT.fullmatch(text)
    if type(owner) is Global and told and told[1] == name and told[2] in (owner.name, owner.dotted):
        return attribute(effects, event, owner, name)
    evaluated = effects.global_(event.offset, "builtins", "eval", event.known)
    return effects.apply("call", event.opcode, event.offset, evaluated, (text,), None, event.known)


_SLOT = re.compile(r"<(?:slot wrapper|method|member|attribute|built-in method) '(\w+)' of '([\w.]+)' objects>")
"""How Python shows what classes in C have, in dill's words."""


def _called(effects: Effects, event: Event, callee: Any, args: Any, kwargs: Any = None) -> Any:
    """What the call results in; it is no detour, as dill makes each such object in this way."""
    return effects.apply("call", event.opcode, event.offset, callee, args, kwargs)


RULES: dict[str, Any] = {
    "dill._create_type": make_class,
    "cloudpickle._make_skeleton_class": make_skeleton,
    "dill._create_array": _make_array,
    "dill._create_ftype": _make_partial,
    "dill._create_namedtuple": _make_namedtuple,
    "dill._getattr": _get_slot,
}
"""Canonical names -> the rule, as reflection.py defines them."""

REACHING = (_make_namedtuple, _get_slot)
"""Rules whose result is an object reached by name."""
