"""Trace and scores -> verdict and findings, and what a verdict leads to."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from picklegate import callees, features, novelty
from picklegate.classifier import Classifier, classifier
from picklegate.errors import PolicyError
from picklegate.given import Contents, arguments_of, contents_of
from picklegate.limits import DEFAULT, Clock, Limits
from picklegate.pickles import Cut, Dict, Event, Fault, Global, Persistent, Set, Trace, Unresolved, canonical
from picklegate.reasons import words
from picklegate.report import Call, FileReport, Finding, StreamReport, Verdict

OnBlock = Literal["raise", "quarantine", "skip"]
"""What a front door does with a blocked file."""

_MOST_CALLS = 500
_MOST_FINDINGS = 50


@dataclass(frozen=True, kw_only=True, slots=True)
class Policy:
    """What users decide: from which verdict on files are blocked, and what they trust by name or digest.

    ``allow_imports`` are dotted names as the report spells them; ``allow_digests`` are
    hexadecimal SHA-256 digests of whole files. With ``on_block``, a download that is blocked raises BlockedError,
    keeps nothing of it, and leaves what stood in place before; ``"quarantine"`` raises and moves either out of reach;
    ``"skip"`` leaves the blocked files of a snapshot out of it, with a warning. A score from ``suspicious_score`` on is
    SUSPICIOUS, from ``malicious_score`` on MALICIOUS; None leaves that to the model. Raises PolicyError for an option
    that is wrong.
    """

    block_from: Verdict = Verdict.SUSPICIOUS
    allow_imports: tuple[str, ...] = ()
    allow_digests: tuple[str, ...] = ()
    on_block: OnBlock = "raise"
    suspicious_score: float | None = None
    malicious_score: float | None = None
    limits: Limits = field(default=DEFAULT)

    def __post_init__(self) -> None:
        """Check each option."""
        if not isinstance(self.block_from, Verdict) or self.block_from == Verdict.CLEAN:
            raise PolicyError("block_from: must be Verdict.SUSPICIOUS, UNSCANNABLE or MALICIOUS")
        if self.on_block not in get_args(OnBlock):
            raise PolicyError("on_block: must be 'raise', 'quarantine' or 'skip'")
        for option in ("suspicious_score", "malicious_score"):
            score = getattr(self, option)
            if score is not None and (type(score) not in (int, float) or not 0 < score <= 1):
                raise PolicyError(f"{option}: must be a number above 0 and at most 1")
        for option in ("allow_imports", "allow_digests"):
            value = getattr(self, option)
            if not isinstance(value, tuple) or not all(isinstance(item, str) for item in value):
                raise PolicyError(f"{option}: must be a tuple of strings")
        for digest in self.allow_digests:
            if len(digest) != 64 or digest.strip("0123456789abcdef"):
                raise PolicyError(f"allow_digests: {digest!r} is no SHA-256 in lower-case hexadecimal")

    def blocks(self, report: FileReport) -> bool:
        """Whether a front door refuses the file."""
        return report.verdict >= self.block_from and report.sha256 not in self.allow_digests


def judge(name: str, found: Trace, policy: Policy, *, clock: Clock | None = None) -> StreamReport:
    """The report of one traced stream; UNSCANNABLE where the time of ``clock`` is over on the way."""
    allowed = frozenset(policy.allow_imports)
    findings = _faults(name, found)
    scored: list[tuple[float, Event, tuple[float, ...]]] = []
    for event in found.events:
        if clock is not None and clock.over:
            message = "judging it takes longer than the limits allow"
            findings.append(
                Finding(
                    code="limit.time", verdict=Verdict.UNSCANNABLE, message=message, stream=name, offset=event.offset
                )
            )
            break
        given = arguments_of(event)
        if event.name in allowed or event.known in allowed:
            scored.append((0.0, event, ()))
            continue
        findings.extend(_proofs(name, event, given))
        # An event whose result is known is judged by what is done with that.
        vector = () if event.reached else features.vector(event, given, features.vocabulary())
        scored.append((classifier().score(vector) if vector else 0.0, event, vector))
    findings.extend(_executing_imports(name, found, allowed))
    findings.extend(_made_methods(name, found))
    inert = not found.imports and not features.foreign_persistent(found)
    scored.sort(key=lambda item: -item[0])
    if not inert:
        review = classifier().review if policy.suspicious_score is None else policy.suspicious_score
        block = classifier().block if policy.malicious_score is None else policy.malicious_score
        flagged = [item for item in scored[:_MOST_FINDINGS] if item[0] >= min(review, block)]
        findings.extend(_scored(name, *item, classifier(), block) for item in flagged)
    verdict = max((finding.verdict for finding in findings), default=Verdict.CLEAN)
    shown = sorted(scored[:_MOST_CALLS], key=lambda item: item[1].offset)
    return StreamReport(
        name=name,
        verdict=verdict,
        score=scored[0][0] if scored else 0.0,
        decided_by=_decided_by(findings, verdict, inert=inert),
        novelty=None if inert else _novelty(found),
        imports=tuple((item.module, item.name) for item in found.imports),
        calls=tuple(_call(event, score) for score, event, _ in shown),
        findings=tuple(sorted(findings, key=lambda finding: -finding.verdict)[:_MOST_FINDINGS]),
    )


def _novelty(found: Trace) -> float | None:
    described = novelty.shape(found)
    return novelty.forest().novelty(described) if described else None


def _decided_by(findings: list[Finding], verdict: Verdict, *, inert: bool) -> str:
    if verdict == Verdict.CLEAN:
        return "inert" if inert else "model"
    deciding = {finding.code for finding in findings if finding.verdict == verdict}
    if deciding & _PROOFS:
        return "execution"
    if "call.score" in deciding:
        return "model"
    return "rule" if any(code.startswith(_RULES) for code in deciding) else "fault"


_PROOFS = frozenset(
    (
        "call.execution",
        "state.execution",
        "call.made-function",
        "argument.execution",
        "import.execution",
        "state.on-global",
    )
)

_RULES = ("call.", "state.", "argument.", "import.")
"""How the codes of findings about what loading does begin; the others are about the reading."""

_NOTES = {
    "import.unresolved": Verdict.SUSPICIOUS,
    "import.extension": Verdict.SUSPICIOUS,
    "stream.frame": Verdict.SUSPICIOUS,
    "stream.frame-cut": Verdict.UNSCANNABLE,
    "stream.protocol": Verdict.SUSPICIOUS,
    "stream.nested-unread": Verdict.SUSPICIOUS,
    "limit.depth": Verdict.UNSCANNABLE,
}


def _faults(name: str, found: Trace) -> list[Finding]:
    """The findings about the reading itself."""

    def finding(fault: Fault, verdict: Verdict) -> Finding:
        return Finding(code=fault.code, verdict=verdict, message=fault.message, stream=name, offset=fault.offset)

    findings = [finding(note, _NOTES[note.code]) for note in found.notes]
    if found.fault is not None:
        findings.append(finding(found.fault, Verdict.UNSCANNABLE))
    return findings


_LONG_INTEGER = 1_000

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


def _proofs(name: str, event: Event, given: Contents) -> list[Finding]:
    """The findings that no score is needed for."""

    def finding(code: str, verdict: Verdict, message: str) -> list[Finding]:
        return [Finding(code=code, verdict=verdict, message=message, stream=name, offset=event.offset)]

    if event.kind != "state" and event.name != "unresolved" and callees.executes(event.known):
        return finding("call.execution", Verdict.MALICIOUS, f"loading runs {_spelled(event)}")
    if event.known in callees.SETTERS and any(map(_shared, event.args[:1])):
        return finding("state.on-global", Verdict.SUSPICIOUS, f"loading has {event.name} change what other code uses")
    handed = [item.dotted for item in given.globals if callees.executes(item.known)]
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
        if maker in callees.MADE:
            return finding(
                "call.made-function", Verdict.MALICIOUS, "loading calls a function that the stream itself makes"
            )
        return finding("call.unresolved", Verdict.SUSPICIOUS, f"loading calls what cannot be told ({event.via})")
    if callees.WRITING.fullmatch(event.known):
        message = f"loading calls {_spelled(event)}, which reaches files, the network or the whole process"
        return finding("call.write", Verdict.SUSPICIOUS, message)
    closed = callees.serialises(event.known) or callees.constructs_data(event.known)
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


def _made_methods(name: str, found: Trace) -> list[Finding]:
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


def _executing_imports(name: str, found: Trace, allowed: frozenset[str]) -> list[Finding]:
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
        if f"{item.module}.{item.name}" not in allowed and callees.executes(canonical(item.module, item.name))
    ]


def _scored(
    name: str, score: float, event: Event, vector: tuple[float, ...], model: Classifier, block: float
) -> Finding:
    """The finding of an event that the model holds for hostile, with what moved its score most."""
    parts = tuple((feature, round(weight, 4)) for feature, weight in model.contributions(vector)[:4] if weight > 0.05)
    values = dict(zip(features.FEATURES, vector, strict=True))
    moved = ", ".join(f"{words(feature, values[feature])} +{weight:.1f}" for feature, weight in parts)
    verdict = Verdict.MALICIOUS if score >= block else Verdict.SUSPICIOUS
    action = "writes state into" if event.kind == "state" else "calls"
    message = f"loading {action} {_spelled(event)}: score {math.floor(score * 1000) / 1000:.3f} ({moved})"
    return Finding(
        code="call.score", verdict=verdict, message=message, stream=name, offset=event.offset, contributions=parts
    )


def _call(event: Event, score: float) -> Call:
    name = event.name if event.name != "unresolved" or not event.via else f"unresolved ({event.via})"
    return Call(callee=name, arguments=_arguments(event), opcode=event.opcode, offset=event.offset, score=score)


def _spelled(event: Event) -> str:
    return f"{event.name}({', '.join(_arguments(event))})"


def _arguments(event: Event) -> tuple[str, ...]:
    pairs = zip(event.kwargs[::2], event.kwargs[1::2], strict=False)
    return (*(spell(item) for item in event.args[:8]), *(f"{key}={spell(item)}" for key, item in pairs))


def spell(value: Any, room: int = 200) -> str:
    """A value as short Python-like text, of at most about ``room`` characters."""
    if isinstance(value, (str, bytes)):
        cut = value if len(value) <= room else value[:room]
        return repr(cut) + ("..." if len(value) > room else "")
    kind = type(value)
    if kind in _BRACKETS:
        parts: list[str] = []
        for item in value[:8]:
            parts.append(spell(item, max(8, room // 4)))
            if sum(map(len, parts)) > room:
                break
        inner = ", ".join(parts) + (", ..." if len(value) > len(parts) else "")
        return inner.join(_BRACKETS[kind])
    if kind is Global:
        return str(value.dotted)
    if kind is Event:
        return f"<{value.name}(...)>"
    if kind is Persistent:
        return "<persistent>"
    if kind is Unresolved:
        return "<unresolved>"
    if kind is int and value.bit_length() > _LONG_INTEGER:
        return f"<integer of {value.bit_length()} bits>"
    return repr(value)[:room]


_BRACKETS: dict[type, str] = {Dict: "{}", Set: "{}", list: "[]", tuple: "()"}
