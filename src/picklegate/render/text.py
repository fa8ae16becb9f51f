"""Reports as text, for people: the worst first, and for each blocked file what would run and where."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from picklegate.escape import escape
from picklegate.render.summary import sentence
from picklegate.report import Call, FileReport, Finding, StreamReport, Verdict

MAX_CLEAN_LINES = 20
"""Clean files are listed up to this number, and only counted beyond: a long list would hide what matters."""
MAX_LINES = 3
"""Calls, findings and streams shown of each; the JSON form has all of them."""

_NAME_WIDTH = 200
_ARGUMENT_WIDTH = 80
_CALL_WIDTH = 240
_MESSAGE_WIDTH = 400

_COLOURS = {Verdict.CLEAN: "32", Verdict.SUSPICIOUS: "33", Verdict.UNSCANNABLE: "35", Verdict.MALICIOUS: "1;31"}


def render(reports: Sequence[FileReport], *, colour: bool = False) -> str:
    """Returns the text, with ANSI colours where asked for; every name from a file is escaped and cut."""
    clean = [report for report in reports if report.verdict == Verdict.CLEAN]
    lines = blocked(reports, colour=colour)
    if len(clean) <= MAX_CLEAN_LINES:
        lines += [title(report, colour=colour) for report in clean]
    lines.append(sentence(reports))
    return "\n".join(lines) + "\n"


def blocked(reports: Sequence[FileReport], *, colour: bool = False) -> list[str]:
    """The lines on the files above CLEAN, the worst first."""
    found = sorted((r for r in reports if r.verdict > Verdict.CLEAN), key=lambda r: (-r.verdict, -r.score))
    return [line for report in found for line in _blocked(report, colour=colour)]


def _blocked(report: FileReport, *, colour: bool) -> Iterator[str]:
    yield title(report, colour=colour)
    yield from _findings(report.findings, "  ")
    streams = sorted((s for s in report.streams if s.verdict > Verdict.CLEAN), key=lambda s: (-s.verdict, -s.score))
    for stream in streams[:MAX_LINES]:
        yield from _stream(stream)
    yield from _more(len(streams), "stream", "  ")
    yield ""


def title(report: FileReport, *, colour: bool) -> str:
    """The line that names a file, its verdict and what it is."""
    word = f"{report.verdict!s:<11}"
    if colour:
        word = f"\x1b[{_COLOURS[report.verdict]}m{word}\x1b[0m"
    facts = [escape(report.container, _ARGUMENT_WIDTH), size(report.size)]
    if report.streams:
        facts.append(score(report.score))
    return f"{word} {escape(report.name, _NAME_WIDTH)}  ({', '.join(facts)})"


def _stream(stream: StreamReport) -> Iterator[str]:
    name = escape(stream.name, _NAME_WIDTH)
    yield f"  {name}: {stream.verdict}, decided by {stream.decided_by}, {score(stream.score)}"
    calls = _blamed(stream)
    for place, call in enumerate(calls[:MAX_LINES]):
        yield f"    would run at byte {call.offset}: {spelled(call)}  [{call.opcode}, {score(call.score)}]"
        # Several calls may lie at one byte: what is found there is said once, behind the last of them.
        if call.offset not in {other.offset for other in calls[place + 1 : MAX_LINES]}:
            yield from _findings([f for f in stream.findings if f.offset == call.offset], "      ", at=call.offset)
    yield from _more(len(calls), "call", "    ")
    told = {call.offset for call in calls}
    yield from _findings([f for f in stream.findings if f.offset not in told], "    ")


def _blamed(stream: StreamReport) -> list[Call]:
    """The calls that findings point at, the worst first; where none does, all of them by score."""
    worst: dict[int | None, Verdict] = {}
    for finding in stream.findings:
        worst[finding.offset] = max(finding.verdict, worst.get(finding.offset, Verdict.CLEAN))
    blamed = [call for call in stream.calls if worst.get(call.offset, Verdict.CLEAN) > Verdict.CLEAN]
    if blamed or stream.verdict == Verdict.UNSCANNABLE:
        return sorted(blamed, key=lambda call: (-worst[call.offset], -call.score))
    return sorted(stream.calls, key=lambda call: -call.score)


def spelled(call: Call) -> str:
    """A call as Python would spell it, fit for a terminal."""
    arguments = ", ".join(escape(argument, _ARGUMENT_WIDTH) for argument in call.arguments)
    return escape(f"{escape(call.callee, _ARGUMENT_WIDTH)}({arguments})", _CALL_WIDTH)


def _findings(findings: Sequence[Finding], indent: str, at: int | None = None) -> Iterator[str]:
    reasons = sorted((f for f in findings if f.verdict > Verdict.CLEAN), key=lambda f: -f.verdict)
    for finding in reasons[:MAX_LINES]:
        where = "" if finding.offset == at or finding.offset is None else f" at byte {finding.offset}"
        yield f"{indent}{finding.code}{where}: {escape(finding.message, _MESSAGE_WIDTH)}"
    yield from _more(len(reasons), "finding", indent)


def _more(count: int, noun: str, indent: str) -> Iterator[str]:
    if count > MAX_LINES:
        yield f"{indent}... and {count - MAX_LINES:,} more {noun}{'' if count == MAX_LINES + 1 else 's'}"


def score(number: float) -> str:
    """A score in words: ``"score 0.998"``."""
    # Cut and not rounded, as in findings: a score just below a threshold must not look like the threshold.
    return f"score {math.floor(number * 1000) / 1000:.3f}"


def size(number: float) -> str:
    """A number of bytes in a fitting unit: ``"1.23 MB"``."""
    for unit in ("B", "kB", "MB", "GB"):
        if number < 1000:
            return f"{number:.3g} {unit}"
        number /= 1000
    return f"{number:.3g} TB"
