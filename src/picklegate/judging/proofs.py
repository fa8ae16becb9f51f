"""What needs no score: calls, state writes and imports whose harm is certain or whose form no honest file has."""

from __future__ import annotations

from typing import Any

from picklegate.judging import callables, features
from picklegate.judging.arguments import Contents, arguments_of, contents_of
from picklegate.judging.spelling import spell_call
from picklegate.pickles import Cut, Dict, Event, Global, Trace, Unresolved, canonical
from picklegate.report import Finding, Verdict

_CALLED_BY_OPCODES = frozenset(("append", "extend", "add", "update", "__setstate__", "__setitem__", "__reduce_ex__"))
"""Methods that opcodes call on whatever lies on the stack."""


def _plants(event: Event) -> bool:
    """Whether a state write sets such a method on an instance to something that can be called."""
    parts = event.args[0] if event.args and isinstance(event.args[0], tuple) else event.args
    pairs = [pair for part in parts if isinstance(part, Dict) for pair in zip(part[::2], part[1::2], strict=False)]
    return event.opcode in ("BUILD", "REDUCE") and any(
        key in _CALLED_BY_OPCODES and isinstance(value, (Global, Event, Unresolved))
        for key, value in pairs
        if isinstance(key, str)
    )


def _shared(value: Any) -> bool:
    """Whether a value is an object that the loading process has already, or may be."""
    return isinstance(value, (Global, Unresolved))


def proofs_of(name: str, event: Event, given: Contents) -> list[Finding]:
    """The findings that no score is needed for."""

    def finding(code: str, verdict: Verdict, message: str) -> list[Finding]:
        return [Finding(code=code, verdict=verdict, message=message, stream=name, offset=event.offset)]

    if event.kind != "state" and event.name != "unresolved" and callables.executes(event.known):
        return finding("call.execution", Verdict.MALICIOUS, f"loading runs {spell_call(event)}")
    if event.known in callables.SETTERS and any(map(_shared, event.args[:1])):
        return finding("state.on-global", Verdict.SUSPICIOUS, f"loading has {event.name} change what other code uses")
    handed = [item.dotted for item in given.globals if callables.executes(item.known)]
    if event.kind == "state" and handed:
        return finding("state.execution", Verdict.MALICIOUS, f"loading writes {handed[0]} into {event.name}")
    if event.kind == "state" and _plants(event):
        return finding(
            "state.planted-method", Verdict.SUSPICIOUS, f"loading gives {event.name} a method that loading calls"
        )
    if event.kind == "state":
        if isinstance(event.callee, Global):
            return finding(
                "state.on-global", Verdict.SUSPICIOUS, f"loading writes into {event.name}, which other code uses"
            )
        return []
    if not features.callee(event):
        maker = event.callee.known if isinstance(event.callee, Event) else ""
        if maker in callables.MADE:
            return finding(
                "call.made-function", Verdict.MALICIOUS, "loading calls a function that the stream itself makes"
            )
        return finding("call.unresolved", Verdict.SUSPICIOUS, f"loading calls what cannot be told ({event.via})")
    if callables.WRITING.fullmatch(event.known):
        message = f"loading calls {spell_call(event)}, which reaches files, the network or the whole process"
        return finding("call.write", Verdict.SUSPICIOUS, message)
    closed = callables.serialises(event.known) or callables.constructs_data(event.known)
    if not closed and any(isinstance(text, Cut) for text in given.texts):
        return finding(
            "limit.literal", Verdict.UNSCANNABLE, f"a text too long to be read whole is handed to {event.name}"
        )
    if handed:
        return finding("argument.execution", Verdict.SUSPICIOUS, f"loading hands {handed[0]} to {event.name}")
    return []


_RUN_ON_LOAD = frozenset(
    (
        *("__new__", "__setstate__", "__hash__", "__eq__", "__set_name__", "__init_subclass__", "__del__"),
        *("__setitem__", "append", "extend", "add", "__getattr__", "__getattribute__"),
    )
)
"""Methods of a class that making, filling and keeping an instance runs."""


def made_methods(name: str, found: Trace) -> list[Finding]:
    """Instances of a class that the stream itself brings, with methods that loading runs and that reach outside."""
    made = [event for event in found.events if event.kind == "construct" and event.name.endswith("()")]
    bodies = (event for event in found.events if event.known in _CLASS_BODIES and event.kind != "state")
    if not made or all(_RUN_ON_LOAD.isdisjoint(contents_of(event.args).texts) for event in bodies):
        return []
    if not any(features.reaching_names(event, arguments_of(event)) for event in found.events):
        return []
    message = "loading runs a method of a class that the stream itself makes"
    return [
        Finding(
            code="call.made-method", verdict=Verdict.SUSPICIOUS, message=message, stream=name, offset=made[0].offset
        )
    ]


_CLASS_BODIES = frozenset(("builtins.type", "types.new_class", "dill._create_type", "cloudpickle._class_setstate",
                           "cloudpickle._rehydrate_skeleton_class", "cloudpickle._make_skeleton_class"))  # fmt: skip


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
        if f"{item.module}.{item.name}" not in allowed and callables.executes(canonical(item.module, item.name))
    ]
