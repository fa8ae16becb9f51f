"""What all commands share: exit codes, words on stderr, reports on stdout or in a file."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TextIO

import click

from picklegate.escape import escape
from picklegate.policy import Policy
from picklegate.report import FileReport, Verdict

EXIT_CLEAN = 0
EXIT_FOUND = 1
EXIT_UNSCANNABLE = 2
EXIT_INTERRUPTED = 130
"""What a shell reports of a program that SIGINT ended."""


def status(reports: Iterable[FileReport], policy: Policy, fail_on: Verdict | None = None) -> int:
    """The exit code for these verdicts: only what the policy blocks counts, from ``fail_on`` on where that is given."""
    counts = policy if fail_on is None else replace(policy, block_from=fail_on)
    verdicts = {report.verdict for report in reports if counts.blocks(report)}
    if verdicts & {Verdict.SUSPICIOUS, Verdict.MALICIOUS}:
        return EXIT_FOUND
    return EXIT_UNSCANNABLE if verdicts else EXIT_CLEAN


def rendered(form: str, reports: Sequence[FileReport], *, complete: bool, colour: bool) -> str:
    """The report in one of ``options.FORMATS``."""
    if form == "text":
        from picklegate.render import text

        return text.render(reports, colour=colour)
    if form == "json":
        from picklegate.render import as_json

        return as_json.render(reports, complete=complete)
    if form == "sarif":
        from picklegate.render import sarif

        return sarif.render(reports, complete=complete)
    from picklegate.render import html

    return html.render(reports, complete=complete)


def wants_colour() -> bool:
    """Whether stdout is a terminal whose user has not declined colours."""
    return (
        sys.stdout is not None
        and sys.stdout.isatty()
        and not os.environ.get("NO_COLOR")
        and os.environ.get("TERM") != "dumb"
    )


def write(report: str, output: TextIO | None) -> None:
    """Write data to ``output``, or to stdout; raises OSError, but not for a reader that has gone."""
    try:
        click.echo(report, file=output, nl=False)
    except OSError as error:
        if output is None:
            # What is left in the buffer must not fail once more when the interpreter flushes it at exit.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        # A reader that has seen enough, as `head` has, is no failure.
        if not isinstance(error, BrokenPipeError):
            raise OSError(f"the report could not be written: {in_words(error)}") from error


def in_words(error: Exception) -> str:
    """What an error says, without the number that the system has for it."""
    if not isinstance(error, OSError) or not error.strerror:
        return str(error)
    return f"{error.filename}: {error.strerror}" if isinstance(error.filename, str) else error.strerror


def say(message: str) -> None:
    """Say one sentence on stderr."""
    click.echo(f"picklegate: {escape(message, 1000)}", err=True)
