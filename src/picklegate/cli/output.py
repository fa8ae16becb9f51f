"""What all commands share: exit codes, words on stderr, reports on stdout or in a file."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from typing import TextIO

from picklegate.cli import progress
from picklegate.escape import escape
from picklegate.policy import Policy
from picklegate.report import FileReport, Verdict

EXIT_CLEAN = 0
EXIT_FOUND = 1
EXIT_UNSCANNABLE = 2
EXIT_INTERRUPTED = 130
"""What a shell reports of a program that SIGINT ended."""
INTERRUPTED = "The scan was interrupted: files are missing from this report."
QUIET, NORMAL, VERBOSE, DEBUG = range(4)
_level = [NORMAL]


def status(reports: Iterable[FileReport], policy: Policy, fail_on: Verdict | None = None) -> int:
    """The exit code for these verdicts: only what the policy blocks counts, from ``fail_on`` on where that is given."""
    counts = policy if fail_on is None else policy.blocking(fail_on)
    verdicts = {report.verdict for report in reports if counts.blocks(report)}
    if verdicts & {Verdict.SUSPICIOUS, Verdict.MALICIOUS}:
        return EXIT_FOUND
    return EXIT_UNSCANNABLE if verdicts else EXIT_CLEAN


def verbosity() -> int:
    """How much is said: QUIET, NORMAL, VERBOSE or DEBUG."""
    return _level[0]


def set_verbosity(level: int) -> None:
    """Say more, or less; with DEBUG the log goes to stderr, and errors have their tracebacks."""
    _level[0] = level
    if level == DEBUG:
        import logging

        logging.basicConfig(level=logging.DEBUG, format="%(name)s: %(message)s", stream=sys.stderr)


def is_terminal() -> bool:
    """Whether stdout is a terminal."""
    return sys.stdout is not None and sys.stdout.isatty()


def wants_colour() -> bool:
    """Whether stdout is a terminal whose user has not declined colours."""
    return is_terminal() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def width() -> int | None:
    """The columns of the terminal that stdout is; None where it is none."""
    if not is_terminal():
        return None
    import shutil

    return max(40, shutil.get_terminal_size().columns)


def write(report: str, output: TextIO | None) -> None:
    """Write data to ``output``, or to stdout; raises OSError, but not for a reader that has gone."""
    file = output or sys.stdout
    if file is None:  # as with pythonw
        return
    try:
        file.write(report)
        file.flush()
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
    """Say one sentence on stderr, whatever the verbosity: an error, or what was asked for."""
    progress.clear()
    if sys.stderr is not None:
        sys.stderr.write(f"picklegate: {escape(message, 1000)}\n")
        sys.stderr.flush()


def note(message: str, *, at: int = NORMAL) -> None:
    """Say one sentence on stderr, from the verbosity ``at`` on."""
    if _level[0] >= at:
        say(message)
