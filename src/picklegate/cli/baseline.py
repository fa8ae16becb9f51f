"""What an earlier report has found already."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from picklegate.cli.output import note
from picklegate.errors import PolicyError
from picklegate.report import FileReport, Verdict

Known = frozenset[tuple[str, str]]
"""Contents, by digest, with the codes of what was found in them."""


def new(reports: Iterable[FileReport], known: Known | None) -> list[FileReport]:
    """The reports without those whose findings are all known for the same content; says on stderr how many."""
    reports = list(reports)
    if known is None:
        return reports
    fresh = [report for report in reports if not _of(report) or not known.issuperset(_of(report))]
    if len(fresh) < len(reports):
        number = len(reports) - len(fresh)
        note(f"{number:,} blocked file{' is' if number == 1 else 's are'} known from the baseline, and not shown")
    return fresh


def _of(report: FileReport) -> set[tuple[str, str]]:
    """The content and code of each finding above CLEAN; nothing where the content is not known."""
    reasons = [finding for finding in report.reasons if finding.verdict > Verdict.CLEAN]
    return {(report.sha256, finding.code) for finding in reasons} if report.sha256 else set()


def read(path: str) -> Known:
    """What the JSON report at ``path`` found; raises PolicyError for a file that is no such report, and OSError."""
    try:
        document = json.loads(Path(path).read_bytes())
        return frozenset(pair for file in document["files"] for pair in _of(FileReport.from_dict(file)))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        message = f"--baseline: {path} is no JSON report of picklegate: write one with --format json"
        raise PolicyError(message) from error
