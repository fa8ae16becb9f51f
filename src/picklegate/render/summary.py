"""How many files have which verdict."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from picklegate.report import FileReport, Verdict


def counts(reports: Iterable[FileReport]) -> dict[str, int]:
    """Returns the number of files, then of files with each verdict, worst first."""
    found = Counter(report.verdict for report in reports)
    return {"files": found.total()} | {
        verdict.name.lower(): found[verdict] for verdict in sorted(Verdict, reverse=True)
    }


def sentence(reports: Iterable[FileReport]) -> str:
    """Returns the counts in words: ``"3 files: 1 malicious, 2 clean"``."""
    number = counts(reports)
    files = number.pop("files")
    parts = ", ".join(f"{count:,} {name}" for name, count in number.items() if count)
    return f"{files:,} file{'' if files == 1 else 's'}" + (f": {parts}" if parts else "")
