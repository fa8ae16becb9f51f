"""What a refusal says: what loading would do, where that was found, what to do, and which command would allow it."""

from __future__ import annotations

import sys
from collections.abc import Iterator

from picklegate.escape import escape
from picklegate.findings import DO_NOT_LOAD, KINDS
from picklegate.report import FileReport, Finding, StreamReport, Verdict

REASON = '--reason "WHY YOU TRUST IT"'
_FALSE_ALARM = "If you are sure that it is a false alarm, please report it with `picklegate scan --format json FILE`."
_TENSORS = "The tensors can be had without running it: `picklegate convert FILE -o model.safetensors`."
_MOST_NAMES = 3
_BY_NAME = frozenset(("call.score", "call.unknown-function"))
"""Findings that say of a callable no more than that it is not known. What another one says holds for its arguments."""
_STANDARD = sys.stdlib_module_names
"""Packages whose names nobody needs to trust in every file."""


def sentences(report: FileReport) -> tuple[str, str]:
    """What loading the file would do, and where that was found: two sentences fit for a terminal."""
    if not report.reasons:
        return "the policy blocks it.", ""
    worst = report.reasons[0]
    place = ", ".join(filter(None, (worst.stream, "" if worst.offset is None else f"byte {worst.offset}")))
    where = f"Found in {place} ({worst.code})." if place else f"Found in the file as a whole ({worst.code})."
    return f"{escape(worst.message).rstrip('.')}.", escape(where)


def advice(report: FileReport) -> str:
    """What to do about a refused file: lines, the last ones the commands that would allow it.

    No command allows a MALICIOUS file: who has examined one writes its digest into the policy file.
    """
    kind = KINDS.get(report.reasons[0].code) if report.reasons else None
    told = kind.advice if kind else ""
    tensors = f"\n{_TENSORS}" if report.container.startswith("torch") else ""
    if report.verdict == Verdict.MALICIOUS:
        told = told if told.startswith(DO_NOT_LOAD[:-1]) else f"{DO_NOT_LOAD} {told}".strip()
        return f"What to do: {told} {_FALSE_ALARM}{tensors}"
    lines = [f"What to do: {told}{tensors}"] if told else []
    commands = list(allowing(report))
    if commands:
        lines.append("If you have examined the file and trust it, allow it in the project's policy file:")
        lines += [f"  {command}" for command in commands]
    return "\n".join(lines)


def allowing(report: FileReport) -> Iterator[str]:
    """The commands that would allow a SUSPICIOUS or UNSCANNABLE file: this content alone, or all that calls the same.

    None for a MALICIOUS file, for one whose digest is not known, and for a name that no shell would take.
    """
    if report.verdict not in (Verdict.SUSPICIOUS, Verdict.UNSCANNABLE):
        return
    if report.sha256:
        yield f"picklegate allow {report.sha256} {REASON}"
    elif "://" not in report.name and report.size and escape(report.name) == report.name != "-":
        import shlex

        yield f"picklegate allow {shlex.quote(report.name)} {REASON}"
    names = _names(report)
    if names:
        yield f"picklegate allow {' '.join(names)} {REASON}"


def _names(report: FileReport) -> list[str]:
    """The callables that all findings are about; none where trusting names would not be enough, or too much."""
    told: dict[str, None] = {}
    for stream in report.streams:
        for finding in stream.findings:
            if finding.verdict > Verdict.CLEAN:
                names = _blamed(stream, finding)
                if not names:
                    return []
                told |= dict.fromkeys(names)
    own = any(finding.verdict > Verdict.CLEAN for finding in report.findings)
    return [] if own or len(told) > _MOST_NAMES else [*told]


def _blamed(stream: StreamReport, finding: Finding) -> list[str]:
    """The callables of the calls that a finding points at; none where a name does not decide it."""
    if finding.code not in _BY_NAME:
        return []
    names = [call.callee for call in stream.calls if call.offset == finding.offset]
    return names if all(_is_dotted(name) and name.partition(".")[0] not in _STANDARD for name in names) else []


def _is_dotted(name: str) -> bool:
    return "." in name and name.isascii() and all(part.isidentifier() for part in name.split("."))
