"""An explanation as text and JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator

from picklegate.escape import escape
from picklegate.explain import Explanation, Step, Told
from picklegate.judging.feature_table import words
from picklegate.policy import Policy
from picklegate.refusal import advice
from picklegate.render import text
from picklegate.render.summary import plural
from picklegate.report import Instruction, Verdict

MAX_STEPS = 60
MAX_WEIGHED = 3
"""Calls of a stream whose features are shown, the highest scores first."""
MAX_WEIGHTS = 8
MAX_STREAMS = 20
"""Streams that are told: those above CLEAN first, then those with the highest scores; the others are counted."""
_NAME_WIDTH = 200

_VERBS = {"import": "import", "call": "call", "construct": "make", "state": "write"}
_INERT = "It imports nothing, so loading it can only make numbers, texts and plain containers: no code is called."


def to_json(explanation: Explanation) -> str:
    """The explanation as one JSON object, in ASCII."""
    return json.dumps(explanation.to_dict(), indent=2) + "\n"


def render(
    explanation: Explanation,
    *,
    listing: bool = False,
    colour: bool = False,
    width: int | None = None,
    policy: Policy | None = None,
) -> str:
    """The verdict, what each stream would do in the order of loading, why it is judged so, and what to do."""
    report = explanation.report
    lines = [f"{finding.code}: {escape(finding.message, 400)}" for finding in report.findings]
    shown = _telling(explanation.streams)
    for told in shown:
        lines += [*_stream(told, policy or Policy(), listing=listing), ""]
    rest = [told.report for told in explanation.streams if told not in shown]
    if rest:
        worst = max(one.verdict for one in rest)
        high = max(one.score for one in rest)
        lines += [f"{plural(len(rest), 'more stream')}: {worst} at worst, {text.score(high)} at most", ""]
    if not explanation.streams:
        lines += ["No loader would find a pickle in it.", ""]
    told_all = [text.title(report, colour=colour), "", *text.wrapped(lines, width), *_advice(explanation, width)]
    return "\n".join(told_all) + "\n"


def _telling(streams: tuple[Told, ...]) -> tuple[Told, ...]:
    """Of many streams, those that say most, in the order of the file."""
    if len(streams) <= MAX_STREAMS:
        return streams
    order = sorted(range(len(streams)), key=lambda at: (-streams[at].report.verdict, -streams[at].report.score, at))
    return tuple(streams[at] for at in sorted(order[:MAX_STREAMS]))


def _stream(told: Told, policy: Policy, *, listing: bool) -> Iterator[str]:
    report = told.report
    novelty = "" if report.novelty is None else f", novelty {report.novelty:.3f}"
    facts = f"{told.opcodes:,} opcodes, protocol {told.protocol}{novelty}"
    about = f"{report.verdict}, {text.score(report.score)}, decided by {text.decided(report, policy)}"
    yield f"{escape(report.name, _NAME_WIDTH)}: {about}"
    yield f"  {facts}"
    if report.decided_by == "inert":
        yield f"  {_INERT}"
    elif report.verdict == Verdict.CLEAN:
        yield "  No rule applies to it, and no call's score is high enough to be suspicious."
    if told.steps:
        yield "  Loading it would"
        yield from _steps(told.steps)
    blamed = {finding.offset for finding in report.findings if finding.verdict > Verdict.CLEAN}
    clean = report.verdict == Verdict.CLEAN
    scored = [step for step in told.steps if step.call and step.weights and (clean or step.offset in blamed)]
    most = 1 if clean else MAX_WEIGHED
    for step in sorted(scored, key=lambda step: -step.call.score if step.call else 0.0)[:most]:
        yield from _weights(step)
    told_of = sorted((f for f in report.findings if f.verdict > Verdict.CLEAN), key=lambda f: -f.verdict)
    if told_of:
        yield "  Findings"
        for finding in told_of[:MAX_STEPS]:
            where = "" if finding.offset is None else f" at byte {finding.offset}"
            yield f"    {finding.verdict} {finding.code}{where}: {escape(finding.message, 400)}"
    if listing:
        marked = {finding.offset for finding in told_of}
        yield "  Opcodes"
        yield from (_instruction(step, marked) for step in told.instructions)
        if not told.instructions or told.instructions[-1].opcode != "STOP":
            yield "    ... and more" if told.instructions else "    (its bytes are not at hand)"


def _steps(steps: tuple[Step, ...]) -> Iterator[str]:
    shown = steps
    if len(steps) > MAX_STEPS:
        # What matters is shown wherever it stands: the highest scores, still in the order of loading.
        worst = sorted(steps, key=lambda step: (-(step.call.score if step.call else 0.0), step.offset))[:MAX_STEPS]
        shown = tuple(sorted(worst, key=lambda step: step.offset))
    for step in shown:
        what = text.spelled(step.call) if step.call else escape(step.name, _NAME_WIDTH)
        times = f" x{step.count:,}" if step.count > 1 else ""
        score = f"  [{text.score(step.call.score)}]" if step.call else ""
        yield f"    byte {step.offset:<8} {_VERBS.get(step.kind, step.kind):<6} {what}{times}{score}"
    if len(steps) > len(shown):
        yield f"    ... and {len(steps) - len(shown):,} more steps of lower score"


def _weights(step: Step) -> Iterator[str]:
    if step.call is None:
        return
    yield f"  The {text.score(step.call.score)} of {escape(step.name, _NAME_WIDTH)} at byte {step.offset} comes from"
    for weight in step.weights[:MAX_WEIGHTS]:
        yield f"    {weight.adds:+6.2f}  {words(weight.feature, weight.value)}"
    if len(step.weights) > MAX_WEIGHTS:
        yield f"    ... and {len(step.weights) - MAX_WEIGHTS} lighter ones"


def _instruction(step: Instruction, marked: set[int | None]) -> str:
    mark = ">" if step.offset in marked else " "
    return f"  {mark} {step.offset:>8}  {step.opcode:<18}{escape(step.argument, _NAME_WIDTH)}".rstrip()


def _advice(explanation: Explanation, width: int | None) -> list[str]:
    report = explanation.report
    if report.verdict > Verdict.CLEAN:
        lines = advice(report).splitlines()
        return [line for told in lines for line in (text.wrapped([told], width) if told[:1] != " " else [told])]
    names = explanation.safe_globals
    if not report.container.startswith("torch"):
        return []
    if not names:
        return ["torch.load(weights_only=True) needs no further names for it."]
    return [
        "With torch.load(weights_only=True), it needs these names in torch.serialization.safe_globals",
        "(picklegate.torch_safe_globals gives the objects):",
        *(f"  {escape(name, _NAME_WIDTH)}" for name in names),
    ]
