"""What the callee of an event can do with what it is handed (picklegate.capabilities), and what that is worth."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from picklegate.capabilities import Callee, Callees, Effect, Parameter, effects
from picklegate.judging import callables, encoded_text
from picklegate.judging.arguments import Contents, States
from picklegate.judging.feature_table import CAPABILITY_FEATURES
from picklegate.pickles import Dict, Event, Global, Unresolved
from picklegate.pickles.values import CONTAINERS, attributes

NEAR = 4
"""Calls on the way to an effect up to which a rule may rest on it; what is farther is the model's."""

_RUNS = frozenset(("execute", "command", "native", "unpickle", "import"))
_GROUPS: tuple[tuple[str, frozenset[str]], ...] = (
    ("decides_execution", _RUNS),
    ("decides_files", frozenset(("write", "delete"))),
    ("decides_network", frozenset(("network",))),
    ("decides_change", frozenset(("change",))),
)


@lru_cache(maxsize=8192)
def _shipped(module: str, name: str) -> Callee:
    """What the index that ships knows of a name."""
    return Callees().find(module, name)


_callees: ContextVar[Callees | None] = ContextVar("callees", default=None)


@contextmanager
def using(callees: Callees) -> Iterator[None]:
    """Ask these callees instead of the index that ships."""
    token = _callees.set(callees)
    try:
        yield
    finally:
        _callees.reset(token)


def find(known: str, written: Global | None = None) -> Callee:
    """What is known of a callable, by its canonical name, or as the stream has it written."""
    module, name = (written.module, written.name) if written is not None else ("", "")
    if not name:
        module, _, name = known.rpartition(".") if "." in known else (known, "", "")
    callees = _callees.get()
    return _shipped(module, name) if callees is None else callees.find(module, name)


@dataclass(frozen=True, kw_only=True, slots=True)
class Facts:
    """What is known of an event's callee; ``decided`` are the harms that something among its arguments decides.

    ``called`` are the parameters that it calls and that something is handed to.
    """

    callee: Callee | None
    decided: tuple[tuple[Effect, Parameter], ...]
    called: tuple[Parameter, ...]
    features: tuple[float, ...]


_NOTHING = Facts(callee=None, decided=(), called=(), features=(0.0,) * len(CAPABILITY_FEATURES))


def facts_of(event: Event, arguments: Contents) -> Facts:
    """What the callee of an event can do with what this event hands to it."""
    if arguments.facts is None:
        arguments.facts = _facts(event, arguments)
    facts: Facts = arguments.facts
    return facts


def _facts(event: Event, arguments: Contents) -> Facts:
    owner = event.callee
    if isinstance(owner, Event) and event.kind == "state":
        owner = owner.callee if owner.kind == "construct" or class_named(owner.known) else None
    if not isinstance(owner, Global) or not owner.name:
        return _NOTHING
    known = owner.known or owner.dotted
    closed = callables.constructs_data(known) or callables.serialises(known)
    if closed and (known not in callables.role("reflective") or callables.makes_code(known)):
        return _NOTHING
    callee = find(known, owner)
    if not callee.effects and not callee.unfollowed:
        return _without_effects(callee, function=is_function(event, callee))
    states = arguments.states
    positional = [could_decide(value, states) for value in event.args]
    pairs = zip(event.kwargs[::2], event.kwargs[1::2], strict=False)
    keywords = {key: could_decide(value, states) for key, value in pairs if isinstance(key, str)}
    keys: list[str] | None = None
    if event.opcode == "BUILD":
        positional, keywords, keys = [could_decide(event.args, states)], {}, _keys_of(event.args)
    decided = tuple(callee.decided(event.opcode, positional, keywords, keys))
    decided = tuple(pair for pair in decided if _is_kept(event, pair[1], states))
    called = tuple(
        one for one in callee.calls(event.opcode, positional, keywords, keys) if _is_kept(event, one, states)
    )
    harms = tuple((effect, parameter) for effect, parameter in decided if effect.kind in effects.HARMS)
    return Facts(
        callee=callee,
        decided=harms,
        called=called,
        features=_features(event, callee, decided, called, any((*positional, *keywords.values()))),
    )


@lru_cache(maxsize=4096)
def _without_effects(callee: Callee, *, function: bool) -> Facts:
    unknown = callee.known == "no" and function
    values = (callee.kind == "class", callee.kind == "function" and function, callee.kind == "native", unknown)
    rest = (callee.binding == "unbound", *[False] * (len(CAPABILITY_FEATURES) - len(values) - 1))
    return Facts(callee=callee, decided=(), called=(), features=tuple(map(float, (*values, *rest))))


def state_for(event: Event, parameter: Parameter) -> tuple[Any, ...]:
    """What of a state an effect depends on: one attribute, where it says which."""
    if not parameter.key:
        return tuple(event.args)
    found = attributes(event.args[0] if len(event.args) == 1 else event.args)
    return (found[parameter.key],) if parameter.key in found else ()


def _is_kept(event: Event, parameter: Parameter, states: States) -> bool:
    """Whether a state gives the attribute that decides an effect something that could."""
    if parameter.name != "state" or not parameter.key:
        return True
    return any(could_decide(value, states) for value in state_for(event, parameter) if not _is_instance(value))


def _is_instance(value: Any) -> bool:
    """Whether a value is an instance of a class, of which a state is made."""
    if type(value) is not Event or callables.constructs_data(value.known):
        return False
    return value.kind == "construct" or class_named(value.known)


def _keys_of(args: tuple[Any, ...]) -> list[str] | None:
    """The text keys of a state that is a dict, or a pair of two; None where it may hold any."""
    parts = args[0] if len(args) == 1 and type(args[0]) is tuple else args
    keys: list[str] = []
    for part in parts:
        if type(part) is Dict:
            keys += [key for key in part[::2] if isinstance(key, str)]
        elif part is not None:
            return None
    return keys


def class_named(known: str) -> bool:
    """Whether a name looks like a class's."""
    return known.rpartition(".")[2].lstrip("_")[:1].isupper()


def is_function(event: Event, callee: Callee) -> bool:
    """Whether what is called is a function: as the index or the environment knows it, or else by its name's look."""
    if event.kind != "call":
        return False
    if callee.kind in ("function", "native"):
        return True
    if callee.kind in ("class", "instance", "module"):
        return callee.kind != "class"
    return not class_named(event.known)


def _features(
    event: Event,
    callee: Callee,
    decided: tuple[tuple[Effect, Parameter], ...],
    called: tuple[Parameter, ...],
    handed: bool,  # noqa: FBT001
) -> tuple[float, ...]:
    """CAPABILITY_FEATURES; what is decided nearer counts more."""
    near: dict[str, int] = {}
    for effect, _ in decided:
        if effect.sink != "registry":
            near[effect.kind] = max(near.get(effect.kind, 0), 1 + max(0, 5 - effect.chain))
    run = callee.run_by(event.opcode)
    fixed = any(effect.kind in effects.HARMS and not effect.parameters for effect in run)
    return (
        float(callee.kind == "class"),
        float(callee.kind == "function" and event.kind == "call"),
        float(callee.kind == "native"),
        float(callee.known == "no" and is_function(event, callee)),
        float(callee.binding == "unbound"),
        *(float(max((near.get(kind, 0) for kind in kinds), default=0)) for _, kinds in _GROUPS),
        float(bool(called)),
        float(near.get("read", 0)),
        float(fixed),
        float(handed and bool(callee.unfollowed)),
    )


def could_decide(value: Any, states: States, depth: int = 0, seen: set[int] | None = None) -> bool:
    """Whether a value could decide a harm: a text, bytes, a callable, or the result of a call that nothing is known of.

    Numbers, and arrays and instances of plain data that hold nothing else, cannot. What is ``seen`` already could not.
    """
    if depth > _DEPTH:
        return True
    kind = type(value)
    if kind in CONTAINERS or kind is Event:
        seen = set() if seen is None else seen
        if id(value) in seen:
            return False
        seen.add(id(value))
        if kind is Event:
            return _result_could(value, states, depth + 1, seen)
        return any(could_decide(item, states, depth + 1, seen) for item in value)
    if isinstance(value, (str, bytes)):
        return len(value) > 0
    return kind is Global or kind is Unresolved


_DEPTH = 12


def _result_could(event: Event, states: States, depth: int, seen: set[int]) -> bool:
    known = event.known
    written = states.get(id(event), ())
    if encoded_text.is_array(known):
        texts = any(encoded_text.of_array(part) for part in (event, *written))
        items = (item for state in written for part in _flat(state.args) if type(part) is list for item in part)
        return texts or any(could_decide(item, states, depth, seen) for item in items)
    if callables.serialises(known):
        return callables.makes_code(known)
    if callables.constructs_data(known):
        parts = (*event.args, *event.kwargs, *(part for state in written for part in state.args))
        return any(could_decide(part, states, depth, seen) for part in parts)
    return True


def _flat(args: tuple[Any, ...]) -> tuple[Any, ...]:
    return args[0] if len(args) == 1 and type(args[0]) is tuple else args
