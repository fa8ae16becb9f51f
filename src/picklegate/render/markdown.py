"""Reports as Markdown, for a pull request or the summary of a pipeline."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from picklegate.escape import escape
from picklegate.refusal import allowing, sentences
from picklegate.render import text
from picklegate.render.summary import Allowances, sentence, split
from picklegate.report import FileReport

MAX_ROWS = 200
"""Files in the table; more are counted."""
_WIDTH = 300


def render(reports: Sequence[FileReport], *, complete: bool = True, allowed: Allowances | None = None) -> str:
    """A heading with the counts, and a row for each file that is not clean."""
    return "\n".join(_lines(reports, complete=complete, allowed=allowed)) + "\n"


def _lines(reports: Sequence[FileReport], *, complete: bool, allowed: Allowances | None) -> Iterator[str]:
    blocked, trusted, _ = split(reports, allowed)
    yield f"## picklegate: {sentence(reports, allowed)}"
    if not complete:
        yield from ("", "**The scan was interrupted: files are missing from this report.**")
    if blocked or trusted:
        yield from ("", "| verdict | file | why |", "| --- | --- | --- |")
    yield from (f"| {report.verdict} | {code(report.name)} | {_why(report)} |" for report in blocked[:MAX_ROWS])
    yield from (f"| ALLOWED | {code(report.name)} | {code(why)} |" for report, why in trusted[:MAX_ROWS])
    more = max(0, len(blocked) - MAX_ROWS) + max(0, len(trusted) - MAX_ROWS)
    if more:
        yield from ("", f"... and {more:,} more files.")
    commands = [command for report in blocked[:MAX_ROWS] for command in list(allowing(report))[:1]]
    if commands:
        yield from ("", "If you have examined a file and trust it:", "", "```sh", *commands[: text.MAX_COMMANDS], "```")


def _why(report: FileReport) -> str:
    what, _ = sentences(report)
    first = report.reasons[0].code if report.reasons else ""
    return f"{code(what)} ({first})"


def code(raw: str) -> str:
    """Text from a file as a code span of a table's cell: nothing in it is markup."""
    shown = escape(raw, _WIDTH).replace("|", "\\|")
    fence = "`" * (1 + max(map(len, re.findall("`+", shown)), default=0))
    pad = " " if shown.startswith("`") or shown.endswith("`") else ""
    return f"{fence}{pad}{shown}{pad}{fence}" if shown else ""
