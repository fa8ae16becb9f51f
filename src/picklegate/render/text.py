"""Reports as text, for people: the worst first, and for each blocked file what loading would do, and where."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence

from picklegate.escape import escape
from picklegate.findings import MODEL
from picklegate.judging.classifier import classifier
from picklegate.policy import Policy
from picklegate.provenance import replaced_model
from picklegate.refusal import allowing
from picklegate.render.summary import Allowances, sentence, split
from picklegate.report import Call, FileReport, Finding, StreamReport, Verdict

MAX_CLEAN_LINES = 20
"""Clean files are listed up to this number, and only counted beyond: a long list would hide what matters."""
MAX_LINES = 3
"""Calls, findings and streams shown of each; the JSON form has all of them."""
MAX_COMMANDS = 10
"""Commands that would allow a file, shown in all."""
INTERRUPTED = "The scan was interrupted: files are missing from this report."

_NAME_WIDTH = 200
_ARGUMENT_WIDTH = 80
_CALL_WIDTH = 240
_MESSAGE_WIDTH = 400

_COLOURS = {Verdict.CLEAN: "32", Verdict.SUSPICIOUS: "33", Verdict.UNSCANNABLE: "35", Verdict.MALICIOUS: "1;31"}


def render(
    reports: Sequence[FileReport],
    *,
    complete: bool = True,
    colour: bool = False,
    width: int | None = None,
    allowed: Allowances | None = None,
    most_clean: int = MAX_CLEAN_LINES,
    policy: Policy | None = None,
) -> str:
    """Returns the text, with ANSI colours and in ``width`` columns where asked for; names from files are escaped.

    Up to ``most_clean`` clean files are listed. ``policy`` has the scores that count.
    """
    _, trusted, clean = split(reports, allowed)
    lines = blocked(reports, colour=colour, width=width, allowed=allowed, policy=policy)
    word = _coloured("ALLOWED", "36", colour=colour)
    lines += [f"{word} {_name(report)}  ({escape(why)})" for report, why in trusted]
    if len(clean) <= most_clean:
        lines += [title(report, colour=colour) for report in clean]
    lines += notes()
    unjudged = [report for report in clean if policy and policy.blocks(report)]
    lines += [f"UNJUDGED    {_name(report)}  (blocked: {report.nothing_judged})" for report in unjudged]
    lines += [] if complete else [INTERRUPTED]
    lines.append(sentence(reports, allowed))
    return "\n".join(lines) + "\n"


def notes() -> list[str]:
    """The lines on what makes all verdicts other ones than those of the release."""
    return [f"NOTE        {escape(words, _NAME_WIDTH)}" for words in replaced_model()]


def blocked(
    reports: Sequence[FileReport],
    *,
    colour: bool = False,
    width: int | None = None,
    allowed: Allowances | None = None,
    policy: Policy | None = None,
) -> list[str]:
    """The lines on the files above CLEAN that are not allowed, the worst first."""
    lines = []
    for place, report in enumerate(split(reports, allowed)[0]):
        lines.append(title(report, colour=colour))
        lines += wrapped(_reasons(report, policy or Policy()), width)
        # A command is for pasting: it stays on one line.
        lines += [f"  To allow it: {command}" for command in allowing(report)] if place < MAX_COMMANDS else []
        lines.append("")
    return lines


def wrapped(lines: Iterable[str], width: int | None) -> Iterator[str]:
    """The lines in so many columns; what goes on is indented more than its beginning."""
    import textwrap

    for line in lines:
        if width is None or len(line) <= width:
            yield line
            continue
        indent = " " * (len(line) - len(line.lstrip()))
        yield from textwrap.wrap(
            line.strip(), width, initial_indent=indent, subsequent_indent=f"{indent}  ", break_on_hyphens=False
        )


def _reasons(report: FileReport, policy: Policy) -> Iterator[str]:
    yield from _findings(report.findings, "  ")
    streams = sorted((s for s in report.streams if s.verdict > Verdict.CLEAN), key=lambda s: (-s.verdict, -s.score))
    for stream in streams[:MAX_LINES]:
        verdict = "" if stream.verdict == report.verdict else f"{stream.verdict}, "
        yield f"  {escape(stream.name, _NAME_WIDTH)}: {verdict}decided by {decided(stream, policy)}"
        yield from _findings(stream.findings, "    ")
        if not any(finding.verdict > Verdict.CLEAN for finding in stream.findings):
            yield from _calls(stream)
    yield from _more(len(streams), "stream", "  ")


def decided(stream: StreamReport, policy: Policy) -> str:
    """What decided, and, where it was the score, the scores that count."""
    if stream.decided_by != MODEL:
        return stream.decided_by
    suspicious = classifier().review if policy.suspicious_score is None else policy.suspicious_score
    malicious = classifier().block if policy.malicious_score is None else policy.malicious_score
    return f"model (suspicious from {suspicious:g}, malicious from {malicious:g})"


def title(report: FileReport, *, colour: bool) -> str:
    """The line that names a file, its verdict and what it is."""
    facts = [escape(report.container, _ARGUMENT_WIDTH), size(report.size)]
    if report.verdict == Verdict.CLEAN:
        formats = f": {', '.join(report.unjudged)}" if report.unjudged else ""
        facts.append(f"nothing judged{escape(formats, _ARGUMENT_WIDTH)}" if not report.streams else score(report.score))
    word = _coloured(str(report.verdict), _COLOURS[report.verdict], colour=colour)
    return f"{word} {_name(report)}  ({', '.join(facts)})"


def _coloured(word: str, number: str, *, colour: bool) -> str:
    return f"\x1b[{number}m{word:<11}\x1b[0m" if colour else f"{word:<11}"


def _name(report: FileReport) -> str:
    return escape(report.name, _NAME_WIDTH)


def _calls(stream: StreamReport) -> Iterator[str]:
    for call in sorted(stream.calls, key=lambda call: -call.score)[:MAX_LINES]:
        yield f"    byte {call.offset}: {spelled(call)}  [{score(call.score)}]"
    yield from _more(len(stream.calls), "call", "    ")


def spelled(call: Call) -> str:
    """A call as Python would spell it, fit for a terminal."""
    arguments = ", ".join(escape(argument, _ARGUMENT_WIDTH) for argument in call.arguments)
    return escape(f"{escape(call.callee, _ARGUMENT_WIDTH)}({arguments})", _CALL_WIDTH)


def _findings(findings: Sequence[Finding], indent: str) -> Iterator[str]:
    reasons = sorted((f for f in findings if f.verdict > Verdict.CLEAN), key=lambda f: -f.verdict)
    for finding in reasons[:MAX_LINES]:
        where = "" if finding.offset is None else f" at byte {finding.offset}"
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
