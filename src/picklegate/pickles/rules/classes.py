"""Classes that a stream makes or finds, and the helpers that construct their instances."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from picklegate.pickles import implicit_calls
from picklegate.pickles.values import Dict, Event, Global, Unresolved

if TYPE_CHECKING:
    from picklegate.pickles.rules.protocol import Effects


def construct(effects: Effects, event: Event) -> Any:
    """``copyreg._reconstructor(cls, base, state)``, ``__newobj__(cls, *args)``: the class is what is built."""
    if not event.args:
        return None
    plain = event.known == "copyreg._reconstructor"
    if not all(map(is_class, event.args[: 1 + plain])):
        return effects.hidden(event.opcode, event.offset, event.args)
    args = tuple(item for item in (event.args[2:3] if plain else event.args[1:]) if item is not None)
    kwargs = event.kwargs or None
    return effects.apply("construct", event.opcode, event.offset, event.args[0], args, kwargs, event.known)


def _make_instance(effects: Effects, event: Event) -> Any:
    """``make_instance(cls, args, kwargs)``, with which fsspec writes its file systems: for a class no detour."""
    if len(event.args) < 2:
        return None
    target, args, kwargs = (*event.args[:3], None)[:3]
    plain = type(target) is Global and target.known.rpartition(".")[2][:1].isupper()
    via = "" if plain else event.known
    return effects.apply("call", event.opcode, event.offset, target, args, kwargs, via)


def _type(_effects: Effects, event: Event) -> Any:
    """``type(instance)`` is the class of what the stream constructed; of other values it cannot be told."""
    if len(event.args) != 1 or event.kwargs:
        return None
    made = event.args[0]
    known = type(made) is Event and made.kind == "construct" and type(made.callee) is Global
    return made.callee if known else Unresolved("type", event.offset)


def is_class(value: Any) -> bool:
    """Whether a value may be a class: imported, or made by a call, and no instance that holds what could be called."""
    if type(value) is not Event or value.known in _PLAIN_MAKERS | _CLASS_MAKERS:
        return type(value) in (Global, Event)
    return value.kind == "call" and not value.written and not implicit_calls.callable_in((*value.args, *value.kwargs))


def makes_class(made: Event, kind: str) -> bool:
    """Whether ``made`` is a class whose construction (``kind``) runs no code that the stream brings."""
    if made.known == "builtins.type" and implicit_calls.callable_in(made.args):
        return False
    if made.known == _SYMBOLS:
        return kind == "construct" and not made.written and _is_plain_symbol(made)
    return made.known in _PLAIN_MAKERS or (kind == "construct" and made.known in _CLASS_MAKERS)


def _is_plain_symbol(made: Event) -> bool:
    """Whether an undefined function of sympy is made of its name and of assumptions that hold nothing."""
    assumptions = made.args[1] if len(made.args) == 2 else None
    plain = type(assumptions) is Dict and _CLASS_PARTS.isdisjoint(map(str, assumptions[::2]))
    return plain and not implicit_calls.callable_in(made.args)


_SYMBOLS = "sympy.core.function._rebuild_undef"
"""Makes an undefined function, ``f`` of ``f(x)``, of its name and of what is assumed of it."""
_CLASS_PARTS = frozenset(("bases", "__dict__"))
_PLAIN_MAKERS = frozenset(("collections.namedtuple", "cloudpickle._make_skeleton_enum"))
_CLASS_MAKERS = frozenset((
    "builtins.type", "dill._create_type", "cloudpickle._make_skeleton_class", "cloudpickle._lookup_class_or_track",
    "cloudpickle._rehydrate_skeleton_class", "types.new_class",
))  # fmt: skip


def _undefined(_effects: Effects, event: Event) -> Any:
    """An undefined function of sympy, of which only the name and plain assumptions are given."""
    event.reached = _is_plain_symbol(event)


RULES: dict[str, Any] = {
    "builtins.type": _type,
    "copyreg._reconstructor": construct,
    "copyreg.__newobj__": construct,
    "copyreg.__newobj_ex__": construct,
    "fsspec.spec.make_instance": _make_instance,
    _SYMBOLS: _undefined,
}
"""Canonical names -> the rule, as reflection.py defines them."""
