"""Trace -> verdict: the only place where a stream's verdict is made."""

from __future__ import annotations

import math
from dataclasses import replace

from picklegate.capabilities import Callees
from picklegate.findings import KINDS, decided_by
from picklegate.judging import features, novelty, vocabulary
from picklegate.judging.arguments import Contents, arguments_of, states_of
from picklegate.judging.callee_facts import using
from picklegate.judging.callee_rules import callee_findings, has_strangers, nested_bytes
from picklegate.judging.classifier import Classifier, classifier
from picklegate.judging.feature_table import words
from picklegate.judging.proofs import executing_imports, is_settled, keeps, made_methods, proofs_of
from picklegate.judging.spelling import spell_arguments, spell_call
from picklegate.limits import Clock
from picklegate.pickles import Event, Fault, Trace, trace
from picklegate.policy import Policy
from picklegate.report import Call, Finding, StreamReport, Verdict

_MOST_CALLS = 500
_MOST_FINDINGS = 50


def judge(name: str, found: Trace, policy: Policy, *, clock: Clock | None = None, depth: int = 0) -> StreamReport:
    """The report of one traced stream; UNSCANNABLE where the time of ``clock`` is over on the way."""
    allowed = frozenset(policy.allow_imports)
    findings = _faults(name, found)
    scored: list[tuple[float, Event, tuple[float, ...]]] = []
    states = states_of(found.events)
    names = vocabulary.vocabulary()
    for event in found.events:
        if clock is not None and clock.over:
            message = "judging it takes longer than the limits allow"
            findings.append(
                Finding(
                    code="limit.time", verdict=Verdict.UNSCANNABLE, message=message, stream=name, offset=event.offset
                )
            )
            break
        arguments = arguments_of(event, states)
        if event.name in allowed or event.known in allowed:
            scored.append((0.0, event, ()))
            continue
        findings.extend(proofs_of(name, event, arguments))
        if not is_settled(event):
            findings.extend(callee_findings(name, event, arguments, names, strict=policy.strict))
            if not event.reached:
                findings.extend(_nested(name, event, arguments, policy, depth))
        # An event whose result is known is judged by what is done with that.
        vector = () if event.reached or is_settled(event) or keeps(event) else features.vector(event, arguments, names)
        scored.append((classifier().score(vector) if vector else 0.0, event, vector))
    findings.extend(executing_imports(name, found, allowed))
    findings.extend(made_methods(name, found))
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


def local_findings(name: str, found: Trace, policy: Policy, callees: Callees) -> list[Finding]:
    """What an environment adds: findings about callees that the index that ships does not know."""
    allowed = frozenset(policy.allow_imports)
    states = states_of(found.events)
    names = vocabulary.vocabulary()
    findings: list[Finding] = []
    for event in found.events:
        if event.reached or event.name in allowed or event.known in allowed or not has_strangers(event):
            continue
        with using(callees):
            told = callee_findings(name, event, arguments_of(event, states), names)
        findings.extend(one for one in told if one.verdict > Verdict.CLEAN and one.code in _LOCAL)
    return findings[:_MOST_FINDINGS]


_LOCAL = frozenset(("call.capability", "call.handed-on", "state.capability"))


def _nested(name: str, event: Event, arguments: Contents, policy: Policy, depth: int) -> list[Finding]:
    """The findings about bytes that the event's callee unpickles, as a stream of their own."""
    findings: list[Finding] = []
    for sink, raw in nested_bytes(event, arguments):
        inner = trace(raw, depth=depth + 1)
        report = judge(name, inner, policy, depth=depth + 1) if depth < _DEEPEST else None
        if report is None or not inner.stopped:
            message = f"loading has {event.name} hand bytes to {sink}, and they cannot be read as a pickle"
            findings.append(
                Finding(
                    code="call.capability",
                    verdict=Verdict.SUSPICIOUS,
                    message=message,
                    stream=name,
                    offset=event.offset,
                )
            )
        else:
            findings.extend(
                replace(one, message=f"in bytes that {event.name} hands to {sink}: {one.message}", offset=event.offset)
                for one in report.findings
            )
    return findings


_DEEPEST = 4
"""Streams in streams that callees unpickle."""


def _novelty(found: Trace) -> float | None:
    described = novelty.shape(found)
    return novelty.forest().novelty(described) if described else None


def _decided_by(findings: list[Finding], verdict: Verdict, *, inert: bool) -> str:
    if verdict == Verdict.CLEAN:
        return "inert" if inert else "model"
    return decided_by(finding.code for finding in findings if finding.verdict == verdict)


def _faults(name: str, found: Trace) -> list[Finding]:
    """The findings about the reading itself."""
    faults: tuple[Fault, ...] = (*found.notes, *filter(None, [found.fault]))
    return [
        Finding(code=one.code, verdict=KINDS[one.code].verdict, message=one.message, stream=name, offset=one.offset)
        for one in faults
    ]


def _scored(
    name: str, score: float, event: Event, vector: tuple[float, ...], model: Classifier, block: float
) -> Finding:
    """The finding of an event that the model holds for hostile, with what moved its score most."""
    parts = tuple((feature, round(weight, 4)) for feature, weight in model.contributions(vector)[:4] if weight > 0.05)
    values = dict(zip(features.FEATURES, vector, strict=True))
    said = tuple(words(feature, values[feature]) for feature, _ in parts)
    moved = ", ".join(f"{one} +{weight:.1f}" for one, (_, weight) in zip(said, parts, strict=True))
    verdict = Verdict.MALICIOUS if score >= block else Verdict.SUSPICIOUS
    action = "writes state into" if event.kind == "state" else "calls"
    message = f"loading {action} {spell_call(event)}: score {math.floor(score * 1000) / 1000:.3f} ({moved})"
    return Finding(
        code="call.score",
        verdict=verdict,
        message=message,
        stream=name,
        offset=event.offset,
        contributions=parts,
        words=said,
    )


def _call(event: Event, score: float) -> Call:
    name = event.name if not event.unresolved or not event.via else f"unresolved ({event.via})"
    return Call(callee=name, arguments=spell_arguments(event), opcode=event.opcode, offset=event.offset, score=score)
