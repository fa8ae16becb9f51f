"""How many files have which verdict, and which of them the policy allows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import TypeAlias

from picklegate.report import FileReport, Verdict

Allowances: TypeAlias = Mapping[str, str]
"""SHA-256 of a file that the policy allows -> why, and until when."""


def split(
    reports: Iterable[FileReport], allowed: Allowances | None = None
) -> tuple[list[FileReport], list[tuple[FileReport, str]], list[FileReport]]:
    """The files above CLEAN, the worst first; of these, those that are allowed, with why; the clean ones."""
    blocked, trusted, clean = [], [], []
    for report in reports:
        if report.verdict == Verdict.CLEAN:
            clean.append(report)
        elif allowed and report.sha256 in allowed:
            trusted.append((report, allowed[report.sha256]))
        else:
            blocked.append(report)
    return sorted(blocked, key=lambda report: (-report.verdict, -report.score)), trusted, clean


def counts(reports: Iterable[FileReport]) -> dict[str, int]:
    """Returns the number of files, then of files with each verdict, worst first."""
    found = Counter(report.verdict for report in reports)
    return {"files": found.total()} | {
        verdict.name.lower(): found[verdict] for verdict in sorted(Verdict, reverse=True)
    }


def sentence(reports: Sequence[FileReport], allowed: Allowances | None = None) -> str:
    """Returns the counts in words: ``"3 files: 1 malicious, 1 clean, 1 with nothing to judge"``."""
    blocked, trusted, clean = split(reports, allowed)
    number = counts(blocked)
    empty = sum(bool(report.nothing_judged) for report in clean)
    number |= {"allowed": len(trusted), "clean": len(clean) - empty, "with nothing to judge": empty}
    order = ("malicious", "unscannable", "suspicious", "allowed", "clean", "with nothing to judge")
    parts = ", ".join(f"{number[name]:,} {name}" for name in order if number[name])
    return f"{plural(len(reports), 'file')}" + (f": {parts}" if parts else "")


def plural(count: int, noun: str) -> str:
    """A number with its noun: ``"1 file"``, ``"1,200 files"``."""
    many = f"{noun[:-1]}ies" if noun.endswith("y") else f"{noun}s"
    return f"{count:,} {noun if count == 1 else many}"
