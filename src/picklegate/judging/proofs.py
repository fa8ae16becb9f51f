"""What needs no score: calls, state writes and imports whose harm is certain or whose form no honest file has."""

from __future__ import annotations

import re
from typing import Any

from picklegate.judging import callables, contracts, features
from picklegate.judging.arguments import Contents
from picklegate.judging.brought_code import CLASS_BODIES, BroughtCode
from picklegate.judging.callee_facts import find
from picklegate.judging.spelling import spell_call
from picklegate.pickles import Cut, Dict, Event, Global, Trace, Unresolved, canonical, implicit_calls
from picklegate.pickles.values import attributes
from picklegate.report import Finding, Verdict


def _plants(event: Event) -> bool:
    """Whether a state write sets such a method on an instance to something that can be called."""
    parts = event.args[0] if event.args and isinstance(event.args[0], tuple) else event.args
    pairs = [pair for part in parts if isinstance(part, Dict) for pair in zip(part[::2], part[1::2], strict=False)]
    return event.opcode in ("BUILD", "REDUCE") and any(implicit_calls.plants(key, value) for key, value in pairs)


def _shared(value: Any) -> bool:
    """Whether a value is an object that the loading process has already, or may be."""
    return isinstance(value, (Global, Unresolved))


def proofs_of(name: str, event: Event, arguments: Contents) -> list[Finding]:
    """The findings that no score is needed for."""

    def finding(code: str, verdict: Verdict, message: str) -> list[Finding]:
        return [Finding(code=code, verdict=verdict, message=message, stream=name, offset=event.offset)]

    bare = event.kind == "construct" and not event.args and not event.kwargs
    if (
        event.kind != "state"
        and not event.unresolved
        and not bare
        and callables.executes(event.known)
        and not _inert(event)
    ):
        return finding("call.execution", Verdict.MALICIOUS, f"loading runs {spell_call(event)}")
    if event.known in callables.role("setter") and any(map(_shared, event.args[:1])):
        return finding("state.on-global", Verdict.SUSPICIOUS, f"loading has {event.name} change what other code uses")
    handed = [
        item.dotted
        for item in arguments.globals
        if callables.executes(item.known) and not (callables.is_kept(item.known) and _keeps(event))
    ]
    if event.kind == "state" and handed:
        return finding("state.execution", Verdict.MALICIOUS, f"loading writes {handed[0]} into {event.name}")
    if event.kind == "state" and _plants(event):
        return finding(
            "state.planted-method", Verdict.SUSPICIOUS, f"loading gives {event.name} a method that loading calls"
        )
    if event.kind == "state":
        if isinstance(event.callee, Global):
            own = event.callee.module == "__main__" and not _shadows(event)
            verdict = Verdict.CLEAN if own else Verdict.SUSPICIOUS
            return finding("state.on-global", verdict, f"loading writes into {event.name}, which other code uses")
        return []
    if not features.callee(event):
        if is_brought(event):
            return []
        return finding(
            "call.unresolved",
            Verdict.SUSPICIOUS,
            f"loading calls an object that static analysis cannot resolve ({event.via})",
        )
    # A construction without arguments makes an instance of a class, and no call of a function.
    if callables.reaches_outside(event.known) and not bare and not _class_of_its_own(event):
        message = f"loading calls {spell_call(event)}, which reaches files, the network or the whole process"
        return finding("call.write", Verdict.SUSPICIOUS, message)
    closed = callables.serialises(event.known) or callables.constructs_data(event.known)
    if not closed and any(isinstance(text, Cut) for text in arguments.texts):
        return finding(
            "limit.literal", Verdict.UNSCANNABLE, f"a text too long to be read whole is handed to {event.name}"
        )
    if handed:
        return finding("argument.execution", Verdict.SUSPICIOUS, f"loading hands {handed[0]} to {event.name}")
    return []


def _shadows(event: Event) -> bool:
    """Whether names that a state writes into ``__main__`` are those of Python's own functions."""
    return not _PYTHONS_OWN.isdisjoint(attributes(event.args[0] if len(event.args) == 1 else event.args))


_PYTHONS_OWN = frozenset(
    (
        *(
            "print",
            "open",
            "len",
            "isinstance",
            "getattr",
            "setattr",
            "hasattr",
            "type",
            "super",
            "str",
            "int",
            "float",
        ),
        *("list", "dict", "set", "tuple", "range", "zip", "map", "filter", "sorted", "enumerate", "min", "max", "sum"),
        *(
            "abs",
            "any",
            "all",
            "iter",
            "next",
            "repr",
            "id",
            "vars",
            "dir",
            "object",
            "property",
            "__import__",
            "input",
        ),
        *("exec", "eval", "compile", "globals", "locals", "exit", "quit", "__builtins__", "__build_class__"),
    )
)


def _keeps(event: Event) -> bool:
    """Whether an event writes the state of a function or class, or makes one: its globals are kept and not called."""
    return event.kind == "state" or callables.makes_code(event.known)


_INERT = re.compile(r"Ellipsis|NotImplemented|x?range\(-?\d+L?(, -?\d+L?){0,2}\)")
"""The texts that dill has evaluated, for want of another way."""


def _inert(event: Event) -> bool:
    """Whether dill evaluates one of the texts that it writes itself."""
    texts = [item for item in event.args if isinstance(item, str)]
    return event.known == "dill._eval_repr" and len(texts) == len(event.args) == 1 and bool(_INERT.fullmatch(texts[0]))


def _class_of_its_own(event: Event) -> bool:
    """Whether a class is called without anything to act on: its name alone tells nothing."""
    alone = not event.args and not event.kwargs and not callables.is_standard(event.known)
    return alone and not event.known.startswith(_SCANNERS) and find(event.known).kind != "function"


_SCANNERS = ("picklegate.", "fickling.")
"""Packages whose functions that take no arguments take a guard off."""


def made_methods(name: str, found: Trace) -> list[Finding]:
    """Code of the stream's own that loading runs, and that does harm or of which nothing is known.

    That are functions that it makes and calls, and methods of classes that it makes and of which it makes instances.
    """
    called = [event for event in found.events if event.unresolved and _maker(event) in callables.role("maker")]
    made = [event for event in found.events if event.made_class or (event.unresolved and _maker(event) in CLASS_BODIES)]
    if not called and not made:
        return []
    brought = BroughtCode(found)
    findings = []
    for event in called:
        harm = brought.harm(event.callee)
        verdict = Verdict.CLEAN if harm is None else Verdict.MALICIOUS if harm.certain else Verdict.SUSPICIOUS
        what = harm.words if harm else "it reaches nothing outside"
        message = f"loading calls a function that the stream itself makes: {what}"
        findings.append(_finding("call.made-function", verdict, message, name, event))
    calls = any(event.kind == "call" for event in made) or brought.hands_on_classes(found)
    for method, function in brought.methods([event.callee for event in called], made=calls):
        if harm := brought.harm(function, method):
            message = f"loading may run {method} of a class that the stream itself makes: {harm.words}"
            findings.append(_finding("call.made-method", Verdict.SUSPICIOUS, message, name, (*made, *called)[0]))
            break
    return findings


def is_settled(event: Event) -> bool:
    """Whether rules alone judge an event: code that the stream brings, harmless texts, ``__main__``, a contract."""
    own = event.kind == "state" and type(event.callee) is Global and event.callee.module == "__main__"
    return is_brought(event) or _inert(event) or own or contracts.settles(event)


def keeps(event: Event) -> bool:
    """Whether an event only makes something that keeps a function: what calls it later is an event of its own."""
    return event.kind != "state" and event.known in callables.role("keeper")


def is_brought(event: Event) -> bool:
    """Whether an event calls code that the stream itself brings, which made_methods judges."""
    return event.unresolved and _maker(event) in callables.role("maker") | CLASS_BODIES


def _maker(event: Event) -> str:
    """The canonical name of what made the callee of an event."""
    return event.callee.known if isinstance(event.callee, Event) else ""


def _finding(code: str, verdict: Verdict, message: str, name: str, event: Event) -> Finding:
    return Finding(code=code, verdict=verdict, message=message, stream=name, offset=event.offset)


def executing_imports(name: str, found: Trace, allowed: frozenset[str]) -> list[Finding]:
    """An execution primitive that is reached, even if this stream does not call it."""
    return [
        Finding(
            code="import.execution",
            verdict=Verdict.SUSPICIOUS,
            message=f"the stream imports {item.module}.{item.name}, which runs code or commands",
            stream=name,
            offset=item.offset,
        )
        for item in found.imports
        if f"{item.module}.{item.name}" not in allowed
        and callables.executes(known := canonical(item.module, item.name))
        and not callables.is_kept(known)
    ]
