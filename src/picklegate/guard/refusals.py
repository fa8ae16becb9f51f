"""What a load was refused for, and how the error says it: three lines, with the call where the scan has listed it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from types import FrameType

from picklegate.errors import BlockedError
from picklegate.escape import escape
from picklegate.guard import effects
from picklegate.policy import Effect
from picklegate.report import FileReport, Finding, Verdict

_TWO_WAYS = "The file is read in two ways, or changed after the scan"
_NO_PICKLE = "The scan took it for no pickle, so it is damaged or made to mislead"


@dataclass(frozen=True, slots=True)
class Refusal:
    """A finding, why it ends the load, and what to do."""

    finding: Finding
    why: str
    remedy: str

    def of(self, report: FileReport) -> BlockedError:
        """The error about an artifact."""
        return BlockedError(
            replace(report, findings=(*report.findings, self.finding)),
            f"{escape(report.name)} is not loaded: {self.finding.message}.\n{self.why}\n{self.remedy}",
        )


def unseen_import(name: str, report: FileReport) -> Refusal:
    """For a name that the scan has not listed."""
    return Refusal(
        Finding(
            code="guard.unseen-import",
            verdict=Verdict.MALICIOUS,
            message=f"it asks for {name}, which the scan did not see",
        ),
        f"{_TWO_WAYS if report.streams else _NO_PICKLE}; that name was not imported.",
        "Do not load it by other means, and please report it: the scan should have seen the name.",
    )


def foreign_module(name: str, fault: str) -> Refusal:
    """For a name whose module is not what or where it should be."""
    return Refusal(
        Finding(
            code="guard.foreign-module", verdict=Verdict.SUSPICIOUS, message=f"it asks for {name}, {escape(fault, 400)}"
        ),
        "Code that was put there would run under a trusted name.",
        "If that module is yours, import it before the load.",
    )


def changed(moment: str) -> Refusal:
    """For a file that somebody wrote to."""
    return Refusal(
        Finding(
            code="guard.changed",
            verdict=Verdict.UNSCANNABLE,
            message=f"it was written to between the scan and {moment}",
        ),
        "What it holds now was not scanned.",
        "Let whatever writes the file finish, and load it again.",
    )


def effect(kind: Effect, what: str, frame: FrameType | None, report: FileReport) -> Refusal:
    """For an effect of the load, which ``frame`` brings about."""
    callee = _callee(frame)
    stream, offset = _place(report, callee, what)
    by = f", by {escape(callee, 200)}" if callee else ""
    at = f" at offset {offset:,} of {escape(stream)}" if offset is not None else ""
    return Refusal(
        Finding(
            code="guard.effect",
            verdict=Verdict.MALICIOUS,
            message=f"loading it would {effects.WORDS[kind]}: {escape(what, 200)}{by}{at}",
            stream=stream,
            offset=offset,
        ),
        "Loading a file must do nothing but make its objects; that was not done.",
        f"Ask who made the file. If this is meant to happen, allow it: Policy(allow_effects=({kind!r},)).",
    )


def _callee(frame: FrameType | None) -> str:
    """The function that the stream called: the last one before the code that loads."""
    last: FrameType | None = None
    while frame is not None and str(frame.f_globals.get("__name__")).startswith("picklegate.guard."):
        frame = frame.f_back
    while frame is not None and not effects.is_loader(frame):
        last, frame = frame, frame.f_back
    if last is None or frame is None:
        return ""
    name = getattr(last.f_code, "co_qualname", last.f_code.co_name)
    return f"{last.f_globals.get('__name__', '')}.{name}"


def _place(report: FileReport, callee: str, what: str) -> tuple[str, int | None]:
    """The stream and the offset of the call of ``callee``, or of what acts, where the scan has listed it."""
    names = {name for name in (callee, what.partition("(")[0]) if name}
    lasts = {name.rpartition(".")[2] for name in names}
    calls = [(stream.name, call) for stream in report.streams for call in stream.calls]
    for exactly in (True, False):
        for stream, call in calls:
            if call.callee in names or (not exactly and call.callee.rpartition(".")[2] in lasts):
                return stream, call.offset
    return "", None
