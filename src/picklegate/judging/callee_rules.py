"""Rules on what a callee can do with what it is handed; the index of capabilities says it, not the callee's look.

They ask about strangers: callables that no honest project is known to call, and that neither construct plain data
nor belong to a serialiser's closed set.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from picklegate.capabilities import HARMS, Callee, Effect, Parameter
from picklegate.judging import callables, contracts, encoded_text, features
from picklegate.judging.arguments import Contents, States, contents_of
from picklegate.judging.callee_facts import NEAR, Facts, could_decide, facts_of, find, is_function, state_for
from picklegate.judging.spelling import spell_call
from picklegate.judging.vocabulary import Vocabulary
from picklegate.pickles import Dict, Event, Global, Unresolved
from picklegate.pickles.values import CONTAINERS
from picklegate.report import Finding, Verdict

_RUNS = ("execute", "command", "native", "import", "delete")
"""Effects for which a stored callable that no honest project keeps is suspicious: it runs at the first use."""


def callee_findings(
    name: str,
    event: Event,
    arguments: Contents,
    names: Vocabulary,
    *,
    strict: bool = False,
) -> list[Finding]:
    """The findings about what the callee of an event can do; ``strict`` blocks every unknown function."""

    def finding(code: str, message: str, verdict: Verdict = Verdict.SUSPICIOUS) -> Finding:
        return Finding(code=code, verdict=verdict, message=message, stream=name, offset=event.offset)

    def reached(text: str) -> Finding:
        return finding("call.capability", f"loading calls {spell_call(event)}: {text}")

    if why := contracts.refusal(event):
        return [finding("call.contract", f"loading calls {spell_call(event)}: {why}")]
    if event.reached:
        # An event whose result is known is judged by what is done with that.
        return []
    facts = facts_of(event, arguments)
    known = features.callee(event)
    found = [finding("state.capability", text, verdict) for text, verdict in _stored(event, arguments, names)]
    if facts.callee is None:
        return found + [reached(text) for text in _inherited(event, arguments)]
    stranger = not names.callees.get(known)
    # Honest projects construct classes that can do harm with other arguments; what they call cannot.
    if stranger or (event.kind == "call" and not _is_closed(known)):
        found += [reached(text) for text in _reached(event, facts)]
    found += [finding("call.handed-on", text) for text in _handed_on(event, facts)]
    if stranger and not found and is_function(event, facts.callee):
        untold = _untold(event, facts.callee, arguments.states)
        if strict or untold:
            verdict = Verdict.SUSPICIOUS if strict or _hands_over(event, arguments.states) else Verdict.CLEAN
            why = (
                "nothing is known of this function"
                if facts.callee.known == "no"
                else ("what this function does with its arguments is not known")
            )
            found.append(finding("call.unknown-function", f"loading calls {spell_call(event)}: {why}", verdict))
    return found


def has_strangers(event: Event) -> bool:
    """Whether the index does not know the callee of an event, or something that is handed to it."""
    named = [event.callee, *contents_of((event.args, event.kwargs)).globals[:_MOST]]
    return any(type(item) is Global and find(item.known or item.dotted, item).known == "no" for item in named)


def _is_closed(known: str) -> bool:
    """Whether other rules know what a callable may be handed."""
    closed = callables.serialises(known) or callables.constructs_data(known) or callables.executes(known)
    return closed or known in callables.role("read") or known in callables.role("reflective")


def _reached(event: Event, facts: Facts) -> Iterator[str]:
    """The harms near by that the event's arguments decide, one a sink."""
    sinks: set[str] = set()
    for effect, parameter in facts.decided:
        if effect.chain > NEAR or effect.sink == "registry" or effect.sink in sinks or facts.callee is None:
            continue
        if effect.kind == "unpickle" and bytes_for(event, parameter):
            # They are judged as a stream of their own.
            continue
        if contracts.accepts_state(event, parameter.key) or _evaluates_words(event, effect, parameter, facts.callee):
            continue
        if effect.kind in _NAMED and all(map(_is_no_name, values_for(event, parameter))):
            continue
        sinks.add(effect.sink)
        yield facts.callee.describe(effect, parameter)


def _evaluates_words(event: Event, effect: Effect, parameter: Parameter, callee: Callee) -> bool:
    """Whether a class evaluates as Python what it is handed, and that is nothing but objects of its package with words.

    To evaluate a word does nothing: sympy does so with what is not yet one of its expressions.
    """
    if effect.sink not in _EVALUATORS or event.kind == "state" or callee.kind != "class":
        return False
    values = values_for(event, parameter)
    root = event.known.partition(".")[0]
    return bool(values) and all(not isinstance(value, str) and _only_parts(value, root) for value in values)


_EVALUATORS = ("builtins.eval", "builtins.exec", "builtins.compile")


def _only_parts(value: Any, root: str, depth: int = 0) -> bool:
    """Whether a value holds words, numbers and instances of classes of one package, made of such, and nothing else."""
    if depth > 2 * _DEPTH * _DEPTH:
        return False
    if type(value) in CONTAINERS:
        return all(_only_parts(item, root, depth + 1) for item in value)
    if type(value) is Event:
        own = value.kind == "construct" and not value.written and value.known.partition(".")[0] == root
        return own and all(_only_parts(part, root, depth + 1) for part in (value.args, value.kwargs))
    return type(value) in _NUMBERS or (isinstance(value, str) and _LABEL.fullmatch(value) is not None)


_LABEL = re.compile(r"(?!.*import)[\w \\{}^'+-]{0,200}")
"""Names of variables, also as TeX has them: as source these call nothing."""


def _inherited(event: Event, arguments: Contents) -> Iterator[str]:
    """The harms that an instance of a class that the stream has made inherits from a base of that class."""
    made = event.callee
    if type(made) is not Event or event.kind == "state" or made.known not in callables.role("class-maker"):
        return
    positional = [could_decide(value, arguments.states) for value in event.args]
    for base in contents_of(made.args).globals:
        callee = find(base.known or base.dotted, base)
        for effect, parameter in callee.decided("REDUCE", positional):
            if effect.kind in HARMS and effect.chain <= NEAR and effect.sink != "registry":
                yield callee.describe(effect, parameter)
                return


_NAMED = frozenset(("delete", "command", "import", "network"))
"""Effects whose argument is a path, a command, a name or an address, none of which may hold a NUL."""


def _is_no_name(value: Any) -> bool:
    return isinstance(value, (bytes, str)) and (b"\0" if isinstance(value, bytes) else "\0") in value  # type: ignore[operator]


def bytes_for(event: Event, parameter: Parameter) -> bytes:
    """The bytes that an event hands to a parameter, where it hands bytes."""
    return next(_bytes_for(event, parameter), b"")


def _bytes_for(event: Event, parameter: Parameter) -> Iterator[bytes]:
    for value in values_for(event, parameter):
        for item in value[:_MOST] if type(value) in CONTAINERS else (value,):
            if raw := encoded_text.bytes_in(item):
                yield raw


def nested_bytes(event: Event, arguments: Contents) -> Iterator[tuple[str, bytes]]:
    """(the unpickler, the bytes) that an event's callee would load."""
    facts = facts_of(event, arguments)
    for effect, parameter in facts.decided:
        if effect.kind == "unpickle" and effect.chain <= NEAR:
            yield from ((effect.sink, raw) for raw in _bytes_for(event, parameter))


def values_for(event: Event, parameter: Parameter) -> tuple[Any, ...]:
    """What an event hands to a parameter of its callee."""
    pairs = list(zip(event.kwargs[::2], event.kwargs[1::2], strict=False))
    if parameter.name == "**":
        return tuple(value for _, value in pairs)
    if parameter.name == "state":
        return state_for(event, parameter)
    named = tuple(value for key, value in pairs if key == parameter.name)
    if parameter.position < 0:
        return named
    if parameter.rest:
        return (*event.args[parameter.position :], *named)
    return (*event.args[parameter.position : parameter.position + 1], *named)


def _handed_on(event: Event, facts: Facts) -> Iterator[str]:
    """What the callee calls because it is handed to it."""
    for parameter in facts.called:
        for value in values_for(event, parameter):
            for item in _callables_in(value):
                if facts.callee is not None and (why := _harm_of(item)):
                    yield f"loading has {facts.callee.canonical} call its {parameter.label}: {why}"
                    return


def _callables_in(value: Any, depth: int = 0) -> Iterator[Any]:
    if type(value) in (Global, Unresolved):
        yield value
    elif type(value) in CONTAINERS and depth < _DEPTH:
        for item in value[:_MOST]:
            yield from _callables_in(item, depth + 1)
    elif type(value) is Event and value.known in ("functools.partial", "types.PartialType", "types.MethodType"):
        yield from _callables_in(value.args[:1], depth + 1)


_DEPTH = 4
_MOST = 100


def _harm_of(item: Any) -> str:
    """What calling an object may do, in words; empty where nothing harmful is known of it."""
    if type(item) is Unresolved:
        return f"an object that static analysis cannot resolve ({item.why})"
    known = item.known or item.dotted
    if callables.executes(known) or callables.reaches_outside(known):
        return f"{item.dotted} runs code or reaches outside"
    if callables.constructs_data(known) or callables.serialises(known):
        return ""
    callee = find(known, item)
    effect = _nearest(callee)
    if effect is not None:
        return callee.describe(effect, next(iter(effect.parameters), None))
    if callee.kind == "native" and not _calculates(known):
        return f"{item.dotted} is native code of which nothing is known"
    if callee.known == "no" and not features.class_like(known):
        return f"nothing is known of {item.dotted}"
    return ""


def _calculates(known: str) -> bool:
    """Whether a native function is one of the packages whose functions compute with numbers."""
    return known.partition(".")[0] in ("numpy", "torch", "math", "cmath", "operator", "scipy", "jax", "jaxlib")


def _nearest(callee: Callee, kinds: Sequence[str] = ()) -> Effect | None:
    """The harm nearest to a call of the callee that an argument decides."""
    harms = [
        effect
        for effect in callee.run_by("REDUCE")
        if effect.kind in (kinds or HARMS) and effect.parameters and effect.chain <= NEAR and effect.sink != "registry"
    ]
    return min(harms, key=lambda effect: effect.chain, default=None)


def _untold(event: Event, callee: Callee, states: States) -> bool:
    """Whether it is not known what a function does with what it is handed."""
    if callee.known == "no" or callee.kind in ("unknown", "instance", "module"):
        return True
    if callee.kind == "native":
        return not callee.primitive and not _calculates(callee.canonical) and not _only_words(event)
    positional = [could_decide(value, states) for value in event.args]
    followed = not any(effect.kind == "unfollowed" for effect, _ in callee.decided(event.opcode, positional))
    return not followed or bool(callee.unfollowed and "a part of its code was not found" in callee.unfollowed)


def _only_words(event: Event) -> bool:
    """Whether all texts that a call hands over are single words, and nothing else in it could decide a harm."""
    return all(
        type(value) in _NUMBERS or type(value) is Event or (isinstance(value, str) and value.isidentifier())
        for value in (*event.args, *event.kwargs[1::2])
    )


_NUMBERS = frozenset((int, float, bool, type(None)))


def _hands_over(event: Event, states: States) -> bool:
    """Whether a call hands a text, a path, bytes, a callable, or the result of another function to its callee.

    The names of attributes, classes of the callee's own package and instances are what rebuilding an object takes.
    """
    root = event.known.partition(".")[0]
    if event.args and type(event.args[0]) is Event and _is_method_of(event.known, event.args[0].known):
        return True
    return any(_tells(value, root, states) for value in (*event.args, *event.kwargs[1::2]))


def _is_method_of(known: str, owner: str) -> bool:
    """Whether a function is a method that is called by its class, with an instance of that class."""
    return known.rpartition(".")[0].rpartition(".")[2] == owner.rpartition(".")[2] and features.class_like(owner)


def _tells(value: Any, root: str, states: States, depth: int = 0) -> bool:
    if type(value) is Dict and depth < _DEPTH:
        keys = [key for key in value[::2] if not (isinstance(key, str) and key.isidentifier())]
        return any(_tells(item, root, states, depth + 1) for item in (*keys, *value[1::2]))
    if type(value) in CONTAINERS and depth < _DEPTH:
        return any(_tells(item, root, states, depth + 1) for item in value)
    if type(value) is Global:
        return not (features.class_like(value.known) and value.known.partition(".")[0] == root)
    if type(value) is Event and (value.kind == "construct" or features.class_like(value.known)):
        return callables.constructs_data(value.known) and could_decide(value, states)
    return could_decide(value, states)


def _stored(event: Event, arguments: Contents, names: Vocabulary) -> Iterator[tuple[str, Verdict]]:
    """Callables that a state, a partial call or a list keeps for later, and what they can do."""
    if event.kind != "state" and event.known not in ("functools.partial", "types.PartialType"):
        return
    for item in arguments.globals[:_MOST]:
        known = item.known or item.dotted
        if callables.constructs_data(known) or callables.serialises(known) or features.class_like(known):
            continue
        callee = find(known, item)
        effect = _nearest(callee, ("execute", "command", "native", "import", "unpickle", "delete"))
        if effect is None:
            continue
        kept = names.callees.get(known, 0) or effect.kind not in _RUNS or effect.chain > 1
        text = f"loading stores {item.dotted} in {event.name}: {callee.describe(effect, effect.parameters[0])}"
        yield text, Verdict.CLEAN if kept else Verdict.SUSPICIOUS
        return
