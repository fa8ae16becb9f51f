"""Findings as workflow commands of GitHub Actions, which the pages of a run and of a pull request show.

https://docs.github.com/actions/reference/workflow-commands-for-github-actions
"""

from __future__ import annotations

from collections.abc import Sequence

from picklegate.escape import escape
from picklegate.refusal import sentences
from picklegate.render.summary import Allowances, split
from picklegate.report import FileReport, Verdict

_MESSAGE_WIDTH = 600


def render(reports: Sequence[FileReport], *, complete: bool = True, allowed: Allowances | None = None) -> str:
    """A line for each file above CLEAN, the worst first: an error where it is MALICIOUS, a warning otherwise."""
    blocked, _, _ = split(reports, allowed)
    lines = [_line(report) for report in blocked]
    if not complete:
        lines.append("::error title=picklegate::The scan was interrupted: files are missing from it.")
    return "".join(f"{line}\n" for line in lines)


def _line(report: FileReport) -> str:
    level = "error" if report.verdict == Verdict.MALICIOUS else "warning"
    what, where = sentences(report)
    title = f"picklegate: {report.verdict}"
    message = escape(f"{what} {where}", _MESSAGE_WIDTH)
    return f"::{level} file={_property(report.name)},title={_property(title)}::{_data(message)}"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(escape(text)).replace(":", "%3A").replace(",", "%2C")
