"""The values that a scan results in: verdicts, findings and reports."""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

SCHEMA = "picklegate.report/1"
cards: list[Callable[[Any], str]] = []
"""What renders a report in a notebook, put here by the package's own namespace: this module knows no renderer."""


class Verdict(enum.IntEnum):
    """The outcome for a stream or an artifact, ordered from harmless to hostile.

    A verdict is compared (``verdict > Verdict.CLEAN``), never tested for truth:
    what "true" would mean depends on the policy.
    """

    CLEAN = 0
    SUSPICIOUS = 1
    UNSCANNABLE = 2
    MALICIOUS = 3

    def __bool__(self) -> bool:
        """Refuse to be a condition (raises TypeError)."""
        raise TypeError("compare a Verdict (verdict > Verdict.CLEAN) instead of testing its truth")

    def __str__(self) -> str:
        """The name, as reports print it."""
        return self.name


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """One reason for a verdict; ``code`` is stable, dotted, and documented in docs/findings.md.

    ``contributions`` are the (feature, log-odds) that raised a score most, the largest first, and ``words`` say in the
    same order what each feature saw; other findings have none.
    """

    code: str
    verdict: Verdict
    message: str
    stream: str = ""
    offset: int | None = None
    contributions: tuple[tuple[str, float], ...] = ()
    words: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """The JSON form."""
        return {
            "code": self.code,
            "verdict": self.verdict.name,
            "message": self.message,
            "stream": self.stream,
            "offset": self.offset,
            "contributions": [list(part) for part in self.contributions],
            "words": list(self.words),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Finding:
        """The finding of a JSON form; raises KeyError or TypeError for anything else, as all of these do."""
        return cls(
            code=data["code"],
            verdict=Verdict[data["verdict"]],
            message=data["message"],
            stream=data["stream"],
            offset=data["offset"],
            contributions=tuple((feature, weight) for feature, weight in data["contributions"]),
            words=tuple(data.get("words", ())),
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Call:
    """One call, construction or state write that loading the stream would make.

    ``callee`` is the dotted name finally called, or ``"unresolved"``; ``arguments`` are the
    literal arguments as short Python-like text; ``offset`` is that of the opcode, in bytes
    from the start of the stream's data; ``score`` is the model's, in [0, 1].
    """

    callee: str
    arguments: tuple[str, ...]
    opcode: str
    offset: int
    score: float

    def to_dict(self) -> dict[str, Any]:
        """The JSON form."""
        return {
            "callee": self.callee,
            "arguments": list(self.arguments),
            "opcode": self.opcode,
            "offset": self.offset,
            "score": round(self.score, 6),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Call:
        """The call of a JSON form."""
        return cls(
            callee=data["callee"],
            arguments=tuple(data["arguments"]),
            opcode=data["opcode"],
            offset=data["offset"],
            score=data["score"],
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Instruction:
    """One opcode of a stream; an empty ``opcode`` stands for bytes that the loader reads as no opcodes.

    ``offset`` counts as in ``Call``; ``argument`` is short text.
    """

    offset: int
    opcode: str
    argument: str

    def to_dict(self) -> dict[str, Any]:
        """The JSON form."""
        return {"offset": self.offset, "opcode": self.opcode, "argument": self.argument}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Instruction:
        """The instruction of a JSON form."""
        return cls(offset=data["offset"], opcode=data["opcode"], argument=data["argument"])


@dataclass(frozen=True, kw_only=True, slots=True)
class StreamReport:
    """What was seen in one pickle stream, and what was decided.

    ``decided_by`` is ``"model"``, ``"inert"``, ``"execution"``, ``"rule"`` or ``"fault"``.
    ``imports`` are (module, name) pairs in the order of first use. ``disassembly`` are the opcodes around the
    worst finding's, where the verdict is above CLEAN and the bytes were at hand. ``novelty`` is the share of honest
    streams whose opcodes are less unusual, in [0, 1]; None where the stream imports nothing or the bytes were not at
    hand. No verdict depends on it.
    """

    name: str
    verdict: Verdict
    score: float
    decided_by: str
    imports: tuple[tuple[str, str], ...] = ()
    calls: tuple[Call, ...] = ()
    findings: tuple[Finding, ...] = ()
    disassembly: tuple[Instruction, ...] = ()
    novelty: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """The JSON form."""
        return {
            "name": self.name,
            "verdict": self.verdict.name,
            "score": round(self.score, 6),
            "decided_by": self.decided_by,
            "imports": [list(pair) for pair in self.imports],
            "calls": [call.to_dict() for call in self.calls],
            "findings": [finding.to_dict() for finding in self.findings],
            "disassembly": [instruction.to_dict() for instruction in self.disassembly],
            "novelty": None if self.novelty is None else round(self.novelty, 3),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> StreamReport:
        """The report of a JSON form."""
        return cls(
            name=data["name"],
            verdict=Verdict[data["verdict"]],
            score=data["score"],
            decided_by=data["decided_by"],
            imports=tuple((module, name) for module, name in data["imports"]),
            calls=tuple(map(Call.from_dict, data["calls"])),
            findings=tuple(map(Finding.from_dict, data["findings"])),
            disassembly=tuple(map(Instruction.from_dict, data["disassembly"])),
            novelty=data["novelty"],
        )


@dataclass(frozen=True, kw_only=True, slots=True, repr=False)
class FileReport:
    """What was seen in one artifact; ``findings`` are those of the container itself.

    ``local_findings`` are what the sources installed on this machine add (``Policy.environment``). The verdict does not
    rest on them: it is the same on every machine.

    ``sha256`` is the hexadecimal digest of the bytes scanned, or ``""`` where the caller
    asked for none or the artifact could not be read; ``size`` is in bytes. ``unjudged`` names the formats in it
    that picklegate does not analyse (``"HDF5"``), in which other loaders may find code.
    """

    name: str
    container: str
    size: int
    sha256: str = ""
    streams: tuple[StreamReport, ...] = ()
    findings: tuple[Finding, ...] = ()
    unjudged: tuple[str, ...] = ()
    local_findings: tuple[Finding, ...] = ()

    @property
    def nothing_judged(self) -> str:
        """What a report says of a file without a pickle beside its verdict; ``""`` where a stream was judged."""
        if self.streams:
            return ""
        if self.unjudged:
            return f"nothing judged: {', '.join(self.unjudged)}, which picklegate does not analyse"
        return f"nothing judged: {self.container}, in which no pickle loader finds anything"

    @property
    def verdict(self) -> Verdict:
        """The highest verdict of the streams and of the container's own findings."""
        return max(
            (item.verdict for group in (self.streams, self.findings) for item in group),
            default=Verdict.CLEAN,
        )

    @property
    def local_verdict(self) -> Verdict:
        """The verdict, or that of the worst local finding where it is higher."""
        return max((self.verdict, *(finding.verdict for finding in self.local_findings)))

    @property
    def score(self) -> float:
        """The highest score of the streams, 0.0 where there are none."""
        return max((stream.score for stream in self.streams), default=0.0)

    @property
    def reasons(self) -> tuple[Finding, ...]:
        """All findings, the container's, the local ones and the streams', worst first."""
        found = [*self.findings, *self.local_findings, *(f for stream in self.streams for f in stream.findings)]
        return tuple(sorted(found, key=lambda finding: -finding.verdict))

    def __repr__(self) -> str:
        """One short line; ``to_dict()`` has everything."""
        worst = f", {self.reasons[0].code}" if self.reasons else ""
        return f"<FileReport {self.name!a}: {self.verdict}{worst}, {self.container}, {self.size:,} bytes>"

    def _repr_html_(self) -> str | None:
        """A small card, for notebooks."""
        return cards[0](self) if cards else None

    def to_dict(self) -> dict[str, Any]:
        """The JSON form."""
        return {
            "path": self.name,
            "verdict": self.verdict.name,
            "score": round(self.score, 6),
            "container": self.container,
            "size": self.size,
            "sha256": self.sha256,
            "unjudged": list(self.unjudged),
            "findings": [finding.to_dict() for finding in self.findings],
            "local_findings": [finding.to_dict() for finding in self.local_findings],
            "streams": [stream.to_dict() for stream in self.streams],
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> FileReport:
        """The report of a JSON form, of which the verdict and the score are computed anew."""
        return cls(
            name=data["path"],
            container=data["container"],
            size=data["size"],
            sha256=data["sha256"],
            streams=tuple(map(StreamReport.from_dict, data["streams"])),
            findings=tuple(map(Finding.from_dict, data["findings"])),
            unjudged=tuple(map(str, data["unjudged"])),
            local_findings=tuple(map(Finding.from_dict, data.get("local_findings", ()))),
        )


@dataclass(frozen=True, kw_only=True, slots=True, repr=False)
class RepoReport:
    """What was seen in a repository of the Hub at one commit, without a download.

    ``bytes_read`` and ``requests`` are what reading parts of its files has cost; where nothing had to be read again,
    nothing. ``statuses`` are (path in the repository, what the Hub's own scanners say of the file), ``code`` are the
    files of the repository that hold code, which nobody has judged.
    """

    name: str
    commit: str
    files: tuple[FileReport, ...]
    bytes_read: int
    requests: int
    statuses: tuple[tuple[str, str], ...] = ()
    code: tuple[str, ...] = ()

    @property
    def verdict(self) -> Verdict:
        """The highest verdict of the files."""
        return max((report.verdict for report in self.files), default=Verdict.CLEAN)

    def __repr__(self) -> str:
        """One short line; ``to_dict()`` has everything."""
        return f"<RepoReport {self.name!a}: {self.verdict}, {len(self.files):,} files>"

    def _repr_html_(self) -> str | None:
        """A small card, for notebooks."""
        return cards[0](self) if cards else None

    def to_dict(self) -> dict[str, Any]:
        """The JSON form."""
        return {
            "name": self.name,
            "commit": self.commit,
            "verdict": self.verdict.name,
            "bytes_read": self.bytes_read,
            "requests": self.requests,
            "statuses": dict(self.statuses),
            "code": list(self.code),
            "files": [report.to_dict() for report in self.files],
        }
